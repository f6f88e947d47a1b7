import { connect, type RunningDaemon, type Wire } from '../socket.js'

// A workspace as it looks in the middle of an afternoon: several agents at work, one of them waiting, one asking.

export interface Scene {
  workers: Record<'claude' | 'codex' | 'cursor' | 'gemini', Wire>
  /** Ids by what they are about. */
  parser: string
  question: string
  failed: string
  done: string
  leave(): Promise<void>
}

export async function makeScene(daemon: RunningDaemon, workspace: string): Promise<Scene> {
  const open = (agent: string, kind: string, capabilities: string[]): Promise<Wire> =>
    connect(daemon, { agent, open: { workspace, kind, capabilities } })
  const claude = await open('claude', 'claude', ['review', 'typescript'])
  const codex = await open('codex', 'codex', ['typescript', 'rust'])
  const cursor = await open('cursor', 'cursor', ['typescript'])
  const gemini = await open('gemini-docs', 'gemini', ['docs'])

  const parser = await work(cursor, codex, {
    title: 'Make the parser twice as fast on files of a megabyte',
    description:
      'The tokenizer copies each line.\nMeasure with npm run bench before and after; keep the error positions as they are.',
    priority: 'high',
    tags: ['speed', 'parser'],
    resources: [{ resource: 'file:src/parser/**' }, { resource: 'file:bench/parser.ts', mode: 'shared' }],
    checks: [
      { name: 'tests', command: 'npm test' },
      { name: 'bench', command: 'npm run bench -- parser', verifier: 'other' },
    ],
    maxAttempts: 3,
    metadata: { issue: 214 },
  })
  await codex.ask('contract.update', {
    contractId: parser,
    attempt: 1,
    progress: 0.45,
    note: 'lines are slices now; two tests left',
  })
  await codex.ask('agent.update', { presence: 'running', note: 'src/parser/lines.ts' })

  const question = await work(claude, gemini, {
    title: 'Write the upgrade guide for version 2',
    resources: [{ resource: 'file:docs/upgrade.md' }],
  })
  await gemini.ask('contract.requestInput', {
    contractId: question,
    attempt: 1,
    requests: [
      { key: 'audience', prompt: 'Who is the guide for?', schema: { enum: ['operators', 'plugin authors', 'both'] } },
      {
        key: 'node',
        prompt: 'What is the oldest Node that version 2 supports?',
        schema: { type: 'integer' },
        default: 20,
      },
    ],
  })
  await gemini.ask('agent.update', { presence: 'requires_action', note: 'waiting for two answers' })

  const done = await work(cursor, claude, {
    title: 'Review the retry policy',
    checks: [{ name: 'types', command: 'npx tsc --noEmit' }],
  })
  await claude.ask('contract.complete', {
    contractId: done,
    attempt: 1,
    note: 'two remarks, both small',
    result: { remarks: 2, verdict: 'good to go' },
    artifacts: [
      {
        name: 'review.md',
        mediaType: 'text/markdown',
        text: '1. Say in the comment why the cap is 15 minutes.\n2. Name the constant.',
      },
      { name: 'diff', uri: 'https://example.org/changes/12' },
      { name: 'odd link', uri: 'javascript:alert(1)' },
    ],
    evidence: [{ check: 'types', command: 'npx tsc --noEmit', exitCode: 0, output: 'no errors', head: '9f3c2ab' }],
  })
  const failed = await work(cursor, codex, { title: 'Move the build to esbuild', maxAttempts: 1 })
  await codex.ask('contract.fail', {
    contractId: failed,
    attempt: 1,
    error: { reason: 'TESTS_FAILED', message: '14 tests fail: the snapshots hold source maps', retryable: true },
  })
  await offers(cursor, claude, parser)
  await talk(daemon, { claude, codex, cursor }, { parser, workspace })
  return {
    workers: { claude, codex, cursor, gemini },
    parser,
    question,
    failed,
    done,
    leave: async () => void (await Promise.all([claude, codex, cursor, gemini].map((wire) => wire.close()))),
  }
}

/** A contract of one agent that another has begun. */
async function work(by: Wire, owner: Wire, params: Parameters<typeof create>[1]): Promise<string> {
  const { id } = await create(by, params)
  await owner.ask('contract.accept', { contractId: id })
  await owner.ask('contract.start', { contractId: id, attempt: 1 })
  return id
}

const create = (by: Wire, params: { title: string } & Record<string, unknown>) => by.ask('contract.create', params)

async function offers(cursor: Wire, claude: Wire, parser: string): Promise<void> {
  await create(cursor, { title: 'Publish the release notes', dependsOn: [parser], priority: 'low', capability: 'docs' })
  await create(claude, {
    title: 'Fix the flaky reconnect test',
    assignee: 'cursor',
    priority: 'critical',
    tags: ['test'],
  })
  for (const title of [
    'Drop Node 18 from the matrix',
    'Describe the lock grammar',
    'Name the timeouts',
    'Sort the imports',
  ])
    await create(claude, { title })
}

async function talk(
  daemon: RunningDaemon,
  { claude, codex, cursor }: Record<'claude' | 'codex' | 'cursor', Wire>,
  { parser, workspace }: { parser: string; workspace: string },
): Promise<void> {
  await claude.ask('lock.acquire', { resources: [{ resource: 'branch:main' }], reason: 'merging the review' })
  await codex.ask('lock.acquire', {
    resources: [{ resource: 'port:3000' }],
    ttlMs: 600_000,
    reason: 'the bench server',
  })
  const human = await connect(daemon, { agent: 'human', open: { workspace, oneShot: true } })
  await cursor.ask('message.publish', {
    to: 'codex',
    contractId: parser,
    text: 'Keep the column numbers: the editor shows them.',
  })
  await codex.ask('message.publish', {
    to: 'human',
    text: 'The benchmark needs the big fixture: may I download 40 MB?',
    requireAck: true,
  })
  await claude.ask('message.publish', { topic: 'reviews.api', text: 'The retry policy is reviewed.' })
  // These wait for the whole scene, and end with their sockets.
  void cursor.call('lock.acquire', {
    resources: [{ resource: 'file:src/parser/lines.ts' }],
    waitMs: 600_000,
    reason: 'a one line fix',
  })
  void claude.call('lock.acquire', {
    resources: [{ resource: 'file:src/**' }],
    waitMs: 600_000,
    reason: 'renaming a type',
  })
  await human.close()
}
