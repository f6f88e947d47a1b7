// What has to be true of a workspace whenever nothing is under way: the log, the rows and the columns tell the same
// story, and nobody holds, waits for or owns what the rules say they cannot.

import * as assert from 'uvu/assert'
import type { Agent } from '../../src/bridge/agents/row.js'
import { type Contract, isOver, openStatuses } from '../../src/bridge/contracts/row.js'
import { nouns } from '../../src/bridge/index.js'
import type { Claim, Lock } from '../../src/bridge/locks/row.js'
import { covers, overlaps, parseResource } from '../../src/bridge/resources/resources.js'
import type { Table } from '../../src/protocol/method.js'
import type { Logged, World } from '../world.js'

const tables = nouns.flatMap((noun) => noun.tables)
const tableOf = new Map(nouns.flatMap((noun) => noun.events).map(({ type, table }) => [type, table]))

interface Kept {
  id: string
  body: string
  secret: string | null
}

/** Folds a whole log into empty tables: one put or delete for each event, whatever its type. */
function fold(log: readonly Logged[]): Map<string, Map<string, Kept>> {
  const folded = new Map(tables.map(({ name }) => [name, new Map<string, Kept>()]))
  for (const { event, private: hidden } of log) {
    const table = tableOf.get(event.type)
    if (!table || !(table.noun in event.data)) continue
    const kept = folded.get(table.name)!
    const row = event.data[table.noun] as object | null
    if (row === null) {
      kept.delete(table.id(event.data.last as object))
    } else if (table.keeps?.(row) ?? true) {
      const id = table.id(row)
      const secret = hidden === null ? undefined : JSON.parse(hidden).row
      kept.set(id, {
        id,
        body: JSON.stringify(row),
        secret: secret === undefined ? (kept.get(id)?.secret ?? null) : JSON.stringify(secret),
      })
    }
  }
  return folded
}

/** The folded log equals the rows, body and secret, in key order; columns and keys are what the row says. */
export function checkFold(world: World): void {
  const folded = fold(world.log())
  for (const table of tables) {
    const kept = world.sql<Kept>(`SELECT id, body, secret FROM ${table.name} ORDER BY id`)
    const expected = [...folded.get(table.name)!.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
    assert.equal(kept, expected, `the log folded into ${table.name}`)
    for (const { id, body } of kept) checkColumns(world, table, id, JSON.parse(body))
  }
}

function checkColumns(world: World, table: Table<object>, id: string, row: object): void {
  const names = [...Object.keys(table.columns), ...(table.deadline ? ['deadline'] : [])]
  const [columns] = world.sql<Record<string, unknown>>(
    `SELECT ${names.join(', ')} FROM ${table.name} WHERE id = '${id}'`,
  )
  const index: Record<string, unknown> = { ...table.index(row), deadline: table.deadline?.(row) }
  assert.equal(columns, Object.fromEntries(names.map((name) => [name, index[name] ?? null])), `columns of ${id}`)
  if (!table.keys) return
  const keys = world.sql<{ key: string }>(`SELECT key FROM ${table.name}_keys WHERE row_id = '${id}' ORDER BY key`)
  assert.equal(
    keys.map(({ key }) => key),
    [...new Set(table.keys(row))].sort(),
    `keys of ${id}`,
  )
}

/** Seqs and time only rise; generations and tokens too; a command's events stand together. */
export function checkLog(world: World): void {
  const generations = new Map<string, number>()
  let token = 0
  let command = 0
  let time = ''
  for (const [index, { seq, command: own, event }] of world.log().entries()) {
    assert.is(seq, index + 1, 'seqs are contiguous from 1')
    assert.ok(own === command || own === seq, `${seq} is the first of its command or follows one of it`)
    assert.ok(event.time >= time, `time runs backwards at ${seq}`)
    command = own
    time = event.time
    const contract = event.type.startsWith('contract.') ? (event.data.contract as Contract) : undefined
    if (contract) {
      assert.is(contract.generation, (generations.get(contract.id) ?? 0) + 1, `generation at ${seq}`)
      generations.set(contract.id, contract.generation)
    }
    if (event.type !== 'lock.acquired') continue
    const lock = event.data.lock as Lock
    assert.is(lock.token, seq, 'a token is the seq of the grant')
    assert.ok(lock.token! > token, 'tokens rise')
    token = lock.token!
  }
}

/** No resume key, and no hash of one, is in anything that leaves the daemon. */
export function checkSecrets(world: World, keys: readonly string[]): void {
  const log = world.log()
  const hashes = log.flatMap(({ private: hidden }) =>
    hidden === null ? [] : (Object.values(JSON.parse(hidden).row ?? {}) as string[]),
  )
  const everything = log.map(({ body }) => body).join('\n')
  for (const secret of [...keys, ...hashes]) assert.not.ok(everything.includes(secret), 'a secret is in a body')
}

const rowsOf = <Row>(world: World, table: string): Row[] =>
  world.sql<{ body: string }>(`SELECT body FROM ${table} ORDER BY id`).map(({ body }) => JSON.parse(body))

const read = ({ resource, literal }: Claim) => parseResource(resource, literal)
const meets = (a: Lock, b: Lock): boolean =>
  a.resources.some((mine) =>
    b.resources.some(
      (theirs) => (mine.mode === 'exclusive' || theirs.mode === 'exclusive') && overlaps(read(mine), read(theirs)),
    ),
  )
const against = (a: Lock, b: Lock): boolean => a.holder !== b.holder && meets(a, b)

/** All of a request is in what its holder has. */
const isCovered = (lock: Lock, held: readonly Lock[]): boolean =>
  lock.resources.every((wanted) =>
    held.some(
      ({ holder, resources }) =>
        holder === lock.holder &&
        resources.some(
          (own) => (own.mode === 'exclusive' || wanted.mode === 'shared') && covers(read(own), read(wanted)),
        ),
    ),
  )

export function checkLocks(world: World): void {
  const all = rowsOf<Lock>(world, 'locks')
  const held = all.filter(({ state }) => state === 'held')
  const waiting = all.filter(({ state }) => state === 'waiting')
  const cooling = all.filter(({ state }) => state === 'cooling')
  for (const [index, lock] of held.entries()) {
    const other = [...held.slice(index + 1), ...cooling].find((other) => against(lock, other))
    assert.not.ok(other, `${lock.holder} holds what conflicts with what ${other?.holder} holds, or held until now`)
  }
  const waitedFor = new Map<string, Set<string>>()
  for (const [index, lock] of waiting.entries()) {
    const others = [...held, ...waiting.slice(0, index)].filter((other) => against(lock, other))
    const blocked = others.length > 0 || cooling.some((other) => meets(lock, other))
    assert.ok(blocked, `${lock.holder} waits for ${JSON.stringify(lock.resources)}, which nothing stands against`)
    assert.not.ok(isCovered(lock, held), `${lock.holder} waits for what it has`)
    const known = waitedFor.get(lock.holder) ?? []
    waitedFor.set(lock.holder, new Set([...known, ...others.map(({ holder }) => holder)]))
  }
  for (const agent of waitedFor.keys()) {
    const reached = new Set(waitedFor.get(agent))
    for (const other of reached) for (const next of waitedFor.get(other) ?? []) reached.add(next)
    assert.not.ok(reached.has(agent), `${agent} waits for itself, by way of ${[...reached]}`)
  }
  for (const { resources } of cooling) {
    const shut = resources.every(({ resource, mode }) => mode === 'exclusive' && resource.startsWith('file:'))
    assert.ok(shut, 'only files that somebody had alone cool')
  }
  const [totals] = world.sql<{ total: number }>("SELECT total FROM locks_totals WHERE name = 'size'")
  const size = all.reduce((sum, { resources }) => sum + resources.length, 0)
  assert.is(totals?.total, size, 'the running total of resources')
}

const works: readonly string[] = ['working', 'input_required']

/** The modes left out: a lock may have been downgraded since. */
const names = (claims: readonly Claim[]): string =>
  JSON.stringify(claims.map(({ resource, literal }) => ({ resource, literal })))

export function checkContracts(world: World): void {
  const contracts = rowsOf<Contract>(world, 'contracts')
  const locks = rowsOf<Lock>(world, 'locks')
  const agents = rowsOf<Agent>(world, 'agents')
  const sessions = new Map(agents.flatMap(({ agent, sessions }) => sessions.map(({ session }) => [session, agent])))
  const isOpen = ({ status }: Contract) => (openStatuses as readonly string[]).includes(status)
  for (const contract of contracts) {
    const { id, attempt, owner, status, resources, session } = contract
    const open = contract.attempts.filter(({ outcome }) => outcome === undefined)
    assert.is(open.length, isOpen(contract) ? 1 : 0, `open attempts of ${id}, ${status}`)
    if (!isOpen(contract)) {
      assert.is(session, undefined, `${id} is ${status} and hangs on no session`)
      continue
    }
    assert.ok(owner, `${id} is ${status} and has an owner`)
    assert.equal([open[0]?.n, open[0]?.owner], [attempt, owner], `the open attempt of ${id}`)
    if (session !== undefined) assert.is(sessions.get(session), owner, `${id} hangs on a session of its owner`)
    const own = locks.filter((lock) => lock.contractId === id && lock.state === 'held')
    if (works.includes(status) && resources.length > 0) {
      assert.ok(
        own.some((lock) => names(lock.resources) === names(resources)),
        `${id} is ${status} and has its locks`,
      )
    }
  }
  for (const contract of contracts) checkWaiting(contract, contracts)
  for (const lock of locks) {
    if (lock.session !== undefined) assert.is(sessions.get(lock.session), lock.holder, `${lock.lockId}: its session`)
    if (lock.contractId === undefined || lock.state === 'cooling') continue
    const contract = contracts.find(({ id }) => id === lock.contractId)
    assert.ok(contract && isOpen(contract), `${lock.lockId} is of an attempt that is open`)
    assert.equal([lock.attempt, lock.holder], [contract?.attempt, contract?.owner], `${lock.lockId}: its attempt`)
  }
}

/** What a contract waits for is what it says, and it is told of when it comes. */
function checkWaiting(contract: Contract, contracts: readonly Contract[]): void {
  const { id, status, dependsOn, blockedBy, inputRequests, inputDueAt, attempts } = contract
  const open = inputRequests.filter(({ answeredAt }) => answeredAt === undefined)
  assert.is(open.length > 0, status === 'input_required', `${id} is ${status}, open questions: ${open.length}`)
  assert.is(
    inputDueAt !== undefined,
    status === 'input_required',
    `${id} is ${status}, its questions due ${inputDueAt}`,
  )
  assert.is(new Set(inputRequests.map(({ key }) => key)).size, inputRequests.length, `keys of questions of ${id}`)
  const completed = new Set(contracts.flatMap((other) => (other.status === 'completed' ? other.id : [])))
  const waitsFor = dependsOn.filter((dependency) => !completed.has(dependency))
  if (status === 'submitted') {
    assert.equal(blockedBy, waitsFor, `what ${id} is blocked by`)
    const over = contracts.filter((other) => blockedBy.includes(other.id) && isOver(other.status))
    const stuck = contract.stuckOn?.map(({ contractId, status }) => `${contractId} ${status}`) ?? []
    assert.equal([...stuck].sort(), over.map((other) => `${other.id} ${other.status}`).sort(), `what ${id} is stuck on`)
  }
  if (attempts.length > 0) assert.equal([blockedBy, waitsFor], [[], []], `${id} was taken before it was ready`)
}

/** Once time has passed, nothing is left that it should have changed. */
export function checkDeadlines(world: World): void {
  for (const { name } of tables.filter(({ deadline }) => deadline)) {
    const late = world.sql<{ id: string; deadline: string }>(
      `SELECT id, deadline FROM ${name} WHERE deadline < '${world.now()}'`,
    )
    assert.equal(late, [], `deadlines of ${name} that have passed, at ${world.now()}`)
  }
}

export function checkAll(world: World): void {
  checkLog(world)
  checkFold(world)
  checkLocks(world)
  checkContracts(world)
}
