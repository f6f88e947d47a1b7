// What a folder's files hold, replayed from the system calls of a process under
// `strace -f -y -xx -e trace=<TRACED>`: as they are, and as a power loss would leave them.

/** The calls that change a file or make a change last. */
export const TRACED =
  'openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,' +
  'fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,link,linkat'

/** One finished system call. */
export interface SystemCall {
  name: string
  /** Strings in it are still in hexadecimal. */
  args: string
  result: number
}

/** The finished calls of a trace, in the order in which they ended; of a call that was interrupted, its two lines as one. */
export function parseTrace(trace: string): SystemCall[] {
  const begun = new Map<string, string>()
  return trace.split('\n').flatMap((line) => {
    const [, pid = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const unfinished = /^(.*) <unfinished \.\.\.>$/.exec(text)
    if (unfinished) {
      begun.set(pid, unfinished[1]!)
      return []
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    const whole = resumed ? `${begun.get(pid)}${resumed[1]}` : text
    const [, name, args = '', result] = /^(\w+)\((.*)\) += (-?\d+)/.exec(whole) ?? []
    return name === undefined ? [] : [{ name, args, result: Number(result) }]
  })
}

/** What a `write` to that descriptor said; undefined for any other call. */
export function writtenTo(descriptor: number, { name, args }: SystemCall): string | undefined {
  const [, fd, , bytes = ''] = /^(\d+)<([^>]*)>, "([^"]*)"/.exec(args) ?? []
  return name === 'write' && Number(fd) === descriptor ? decode(bytes).toString() : undefined
}

interface Change {
  /** Where bytes are written, or, without bytes, where the file now ends. */
  at: number
  bytes?: Buffer
}

interface File {
  now: Image
  synced: Image
  unsynced: Change[]
  /** Of the descriptor last opened: where `write` goes on. */
  position: number
}

/** A file's content, in a buffer that may be longer. */
interface Image {
  buffer: Buffer
  length: number
}

export interface Disk {
  run(call: SystemCall): void
  /** The files by name, as any process sees them. */
  files(): Map<string, Buffer>
  /** The files that a power loss leaves. Of what was not synced only those writes are there that `survives` names. */
  afterPowerLoss(survives?: () => boolean): Map<string, Buffer>
}

/** A folder, empty at first. SQLite's `-shm` is no part of it: that is memory, made anew when a database is opened. */
export function createDisk(folder: string): Disk {
  const names = new Map<string, File>()
  let syncedNames = new Map<string, File>()
  const nameOf = (path: string): string | undefined => {
    const name = path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : undefined
    return name?.endsWith('-shm') ? undefined : name
  }

  function open(name: string, flags: string): void {
    const file = names.get(name) ?? { now: empty(), synced: empty(), unsynced: [], position: 0 }
    file.position = 0
    if (!names.has(name) && !flags.includes('O_CREAT')) throw new Error(`${name} was not there`)
    names.set(name, file)
    if (flags.includes('O_TRUNC')) change(file, { at: 0 })
  }

  function change(file: File, made: Change): void {
    apply(file.now, made)
    file.unsynced.push(made)
  }

  function sync(file: File): void {
    for (const made of file.unsynced.splice(0)) apply(file.synced, made)
  }

  /** A call about an open file of the folder. */
  function runOn(file: File, call: SystemCall): void {
    const { name, args, result } = call
    if (name === 'fsync' || name === 'fdatasync') return sync(file)
    if (name === 'ftruncate') return change(file, { at: Number(/, (\d+)$/.exec(args)?.[1]) })
    const [, text, , offset] = /, "([^"]*)", (\d+)(?:, (\d+))?$/.exec(args) ?? []
    if (text === undefined || (name !== 'write' && name !== 'pwrite64')) throw new Error(`${name} is not replayed`)
    const bytes = decode(text).subarray(0, result)
    if (offset === undefined) file.position += bytes.length
    change(file, { at: offset === undefined ? file.position - bytes.length : Number(offset), bytes })
  }

  return {
    run(call) {
      const { name, args, result } = call
      if (result < 0) return
      const [from, to] = [...args.matchAll(/"([^"]*)"/g)].map(([, path = '']) => nameOf(decode(path).toString()))
      if (name === 'openat') {
        if (from !== undefined) open(from, args)
      } else if (name === 'rename') {
        const moved = from === undefined ? undefined : names.get(from)
        if (moved && from !== undefined && to !== undefined && names.delete(from)) names.set(to, moved)
      } else if (name === 'unlink') {
        if (from !== undefined) names.delete(from)
      } else {
        const path = decode(/^\d+<([^>]*)>/.exec(args)?.[1] ?? '').toString()
        const file = names.get(nameOf(path) ?? '')
        if (file) runOn(file, call)
        else if (path === folder && name === 'fsync') syncedNames = new Map(names)
        else if (nameOf(path) !== undefined || args.includes(encode(`${folder}/`))) refuseUnknown(call, path)
      }
    },
    files: () => new Map([...names].map(([name, { now }]) => [name, bytesOf(now)])),
    afterPowerLoss(survives = () => false) {
      const left = [...syncedNames].map(([name, { synced, unsynced }]): [string, Buffer] => {
        const image = { ...synced, buffer: Buffer.from(synced.buffer) }
        for (const made of unsynced) if (survives()) apply(image, made)
        return [name, bytesOf(image)]
      })
      return new Map(left)
    },
  }
}

function refuseUnknown({ name }: SystemCall, path: string): void {
  if (path.endsWith('-shm')) return
  throw new Error(`${name} of ${path} is not replayed`)
}

const empty = (): Image => ({ buffer: Buffer.alloc(4096), length: 0 })

const bytesOf = ({ buffer, length }: Image): Buffer => Buffer.from(buffer.subarray(0, length))

function apply(image: Image, { at, bytes }: Change): void {
  const end = at + (bytes?.length ?? 0)
  if (end > image.buffer.length) {
    image.buffer = Buffer.concat([image.buffer.subarray(0, image.length)], Math.max(end, 2 * image.buffer.length))
  }
  if (!bytes && at < image.length) image.buffer.fill(0, at, image.length)
  bytes?.copy(image.buffer, at)
  image.length = bytes ? Math.max(image.length, end) : at
}

const decode = (text: string): Buffer => Buffer.from(text.replaceAll('\\x', ''), 'hex')

const encode = (text: string): string => Buffer.from(text).toString('hex').replace(/../g, '\\x$&')
