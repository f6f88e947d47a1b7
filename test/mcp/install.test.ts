// The bridge in other programs' configuration: written, written again, and taken out, with nothing else touched.

import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parse as parseJson } from 'jsonc-parser'
import { parse as parseToml } from 'smol-toml'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Failure } from '../../src/cli/exits.js'
import { isOwn } from '../../src/cli/mcp/agents.js'
import { diffLines, removeFile, replaceFile } from '../../src/cli/mcp/files.js'
import { plan } from '../../src/cli/mcp/install.js'
import { type Edit, jsonEdit, Unreadable } from '../../src/cli/mcp/json.js'
import { tomlEdit } from '../../src/cli/mcp/toml.js'
import { run } from '../cli.js'

const install = suite('mcp install')

const json = jsonEdit('mcpServers', 'bridge')
const toml = tomlEdit('mcp_servers', 'bridge')
const entry = { command: 'agent-bridge', args: ['mcp'] }

/** As an object literal is; parsers make objects without a prototype. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value))

/** Sets and removes the entry; gives what was set. What else the file says is the same before, meanwhile and after. */
function roundTrip(edit: Edit, text: string): string {
  const set = edit.set(text, entry)
  assert.equal(plain(edit.read(set)), entry, set)
  assert.is(edit.set(set, entry), set, 'a second time changes nothing')
  assert.is(edit.remove(set) ?? '', text)
  return set
}

install('JSON: everything else stays as it is written', () => {
  roundTrip(json, '')
  roundTrip(json, '{\n  "theme": "dark" // as I like it\n}\n')
  roundTrip(json, '{\n\t"a": [1, 2],\n\t"b": {}\n}')
  roundTrip(json, '{\r\n    "mcpServers": {\r\n        "other": { "command": "x" }\r\n    }\r\n}\r\n')
  assert.match(
    roundTrip(json, '{\n  "mcpServers": {\n    // one of mine\n    "other": { "url": "u" }\n  }\n}\n'),
    /one of mine/,
  )
})

install('JSON: what the user added to the entry stays, and what is ours is put right', () => {
  const text =
    '{ "mcpServers": { "bridge": { "command": "agent-bridge", "args": ["mcp", "--old"], "disabled": true } } }'
  assert.equal(json.read(json.set(text, entry)), { ...entry, disabled: true })
})

install('JSON: what is none, or has something else in the place, is refused', () => {
  for (const text of ['{', '[]', '"x"', '{ "a": 1 } trailing', '{ "mcpServers": [] }', '{ "mcpServers": 1 }']) {
    assert.throws(
      () => json.set(text, entry),
      (error: unknown) => error instanceof Unreadable,
      text,
    )
  }
})

install('TOML: everything else stays as it is written', () => {
  roundTrip(toml, '')
  roundTrip(toml, 'model = "gpt" # mine\n')
  roundTrip(toml, '[mcp_servers.other]\ncommand = "x"\n\n# about profiles\n[profiles.a]\nmodel = "b"\n')
  roundTrip(toml, 'text = """\n[mcp_servers.bridge.not]\n"""\n'.replace('.bridge.not', '.other'))
  roundTrip(toml, 'when = 2026-01-01T00:00:00Z\nn = [\n  [1, 2],\n  [3],\n]\n')
})

install('TOML: a table of ours in the middle is written anew in its place, with what the user added', () => {
  const text = [
    '# mine',
    '[mcp_servers.bridge] # the bridge',
    'command = "agent-bridge"',
    'args = ["mcp", "--old"]',
    'enabled = false',
    '',
    '# about the next',
    '[mcp_servers.bridge.env]',
    'A = "b"',
    '',
    '[profiles.x]',
    'model = "m"',
    '',
  ].join('\n')
  const set = toml.set(text, entry)
  assert.equal(plain(parseToml(set)), {
    mcp_servers: { bridge: { ...entry, enabled: false, env: { A: 'b' } } },
    profiles: { x: { model: 'm' } },
  })
  assert.ok(
    set.startsWith('# mine\n[mcp_servers.bridge]\n') && set.includes('\n# about the next\n[mcp_servers.bridge.env]\n'),
    set,
  )
  assert.equal(plain(parseToml(toml.remove(set) ?? '')), { profiles: { x: { model: 'm' } } })
})

install('TOML: forms that cannot be edited by whole tables are refused, and so is what is no TOML', () => {
  const inline = 'mcp_servers = { bridge = { command = "agent-bridge", args = ["mcp"] } }\n'
  const dotted = '[mcp_servers]\nbridge.command = "agent-bridge"\nbridge.args = ["mcp"]\n'
  const within = 'text = """\n[mcp_servers.bridge]\n"""\n'
  for (const text of [inline, dotted, within, 'mcp_servers = { other = { command = "x" } }\n', 'a = ', '[a\n']) {
    assert.throws(
      () => toml.set(text, entry),
      (error: unknown) => error instanceof Unreadable,
      text,
    )
  }
  for (const text of [inline, dotted])
    assert.throws(
      () => toml.remove(text),
      (error: unknown) => error instanceof Unreadable,
    )
})

install('an entry is known as ours by what it starts', () => {
  for (const own of [
    { command: 'agent-bridge', args: ['mcp'] },
    { command: '/usr/bin/node', args: ['/opt/agent-bridge/bin/agent-bridge.js', 'mcp', '--kind', 'codex'] },
  ]) {
    assert.ok(isOwn(own))
  }
  for (const other of [
    undefined,
    null,
    'x',
    {},
    { command: 'other', args: ['mcp'] },
    { command: 'agent-bridge', args: ['start'] },
  ]) {
    assert.not.ok(isOwn(other))
  }
})

install('a change is shown with the lines around it', () => {
  assert.equal(diffLines('a\nb\nc\nd\ne\n', 'a\nb\nX\nY\nd\ne\n'), ['  a', '  b', '- c', '+ X', '+ Y', '  d', '  e'])
  assert.equal(diffLines('', 'a\n'), ['+ a'])
  assert.equal(diffLines('a\n', ''), ['- a'])
})

const LAUNCH = { command: 'agent-bridge', args: ['mcp', '--kind', 'x'] }
const FILES = {
  codex: '.codex/config.toml',
  cursor: '.cursor/mcp.json',
  claude: '.mcp.json',
  gemini: '.gemini/settings.json',
}

interface Place {
  root: string
  home: string
}

/** A repository and a user's home, both empty. */
function place(): Place & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'agent-bridge-install-'))
  const [root, home] = [join(folder, 'repo'), join(folder, 'home')]
  mkdirSync(join(root, '.git'), { recursive: true })
  mkdirSync(join(root, 'deep'))
  mkdirSync(home)
  return { root, home, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}

for (const [kind, path] of Object.entries(FILES) as [keyof typeof FILES, string][]) {
  install(`${kind}: in the repository's configuration, and out of it again`, () => {
    using at = place()
    const file = join(at.root, path)
    const planned = { kind, user: false, root: at.root, env: {} }
    const added = plan({ ...planned, launch: LAUNCH })
    assert.equal([added.file, added.before], [file, undefined])
    const all = kind === 'codex' ? parseToml(added.after!).mcp_servers : parseJson(added.after!).mcpServers
    assert.ok(isOwn((all as Record<string, unknown>).bridge), added.after)
    replaceFile(file, added.after!)
    assert.is(plan({ ...planned, launch: LAUNCH }).after, added.after)
    assert.is(plan({ ...planned, launch: undefined }).after, undefined)
    removeFile(file, at.root)
    assert.not.ok(existsSync(dirname(file)) && dirname(file) !== at.root, 'nothing is left')
    assert.is(plan({ ...planned, launch: undefined }).after, undefined)
  })
}

install('a file keeps its rights, and a link is followed', () => {
  using at = place()
  const [link, real] = [join(at.home, '.claude.json'), join(at.home, 'dotfiles.json')]
  writeFileSync(real, '{\n  "numStartups": 7\n}\n')
  chmodSync(real, 0o600)
  symlinkSync(real, link)
  const planned = { kind: 'claude' as const, user: true, root: at.root, env: { CLAUDE_CONFIG_DIR: at.home } }
  const { file, after } = plan({ ...planned, launch: LAUNCH })
  assert.is(file, link)
  replaceFile(file, after!)
  assert.ok(lstatSync(link).isSymbolicLink())
  assert.is(statSync(real).mode & 0o777, 0o600)
  assert.equal(Object.keys(parseJson(readFileSync(real, 'utf8'))).sort(), ['mcpServers', 'numStartups'])
  assert.is(plan({ ...planned, launch: undefined }).after, '{\n  "numStartups": 7\n}\n')
  assert.equal(readdirSync(at.home).sort(), ['.claude.json', 'dotfiles.json'])
})

install('what cannot be read, or is of another, is left alone', () => {
  using at = place()
  const file = join(at.root, FILES.claude)
  for (const text of ['{ "mcpServers": ', '{ "mcpServers": { "bridge": { "command": "london-bridge" } } }']) {
    writeFileSync(file, text)
    for (const launch of [LAUNCH, undefined]) {
      const planned = { kind: 'claude' as const, user: false, root: at.root, env: {}, launch }
      assert.throws(
        () => plan(planned),
        (error: unknown) => error instanceof Failure && /Nothing was written/.test(error.message),
      )
    }
  }
})

install('the command shows, writes, does nothing twice, and takes out', async () => {
  using at = place()
  const bin = join(at.home, 'bin')
  mkdirSync(bin)
  // The path leads to the program, whatever it is.
  writeFileSync(join(bin, 'agent-bridge'), '')
  const cli = (...args: string[]) =>
    run(['mcp', ...args], {
      home: join(at.home, 'bridge'),
      cwd: join(at.root, 'deep'),
      env: { HOME: at.home, PATH: `${bin}:${process.env.PATH}` },
    })
  const file = join(at.root, FILES.codex)
  const dry = await cli('install', 'codex', '--dry-run', '--agent', 'left', '--profile', 'full')
  assert.equal([dry.code, existsSync(file)], [0, false], dry.stderr)
  assert.ok(dry.stdout.startsWith(`${file}\n+ [mcp_servers.bridge]\n+ command = "agent-bridge"\n`), dry.stdout)
  assert.match(dry.stdout, /"mcp", "--kind", "codex", "--agent", "left", "--profile", "full", "--home", "[^"]+"/)
  assert.match((await cli('install', 'codex')).stdout, /Written\./)
  assert.match(readFileSync(file, 'utf8'), /args = \[ "mcp", "--kind", "codex", "--home"/)
  assert.match((await cli('install', 'codex')).stdout, /nothing to do/)
  assert.is((await cli('uninstall', 'codex')).code, 0)
  assert.not.ok(existsSync(dirname(file)))
  const { code, stderr } = await cli('install', 'emacs')
  assert.is(code, 2)
  assert.match(stderr, /codex, cursor, claude, gemini/)
})

install.run()
