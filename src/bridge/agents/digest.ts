// A text within a size: sections in the order of their weight, each of entries in theirs. What does not fit is counted.

/** What is said of one thing, and the same for programs. */
export interface Entry<Value> {
  text: string
  value: Value
}

export interface Section<Value = unknown> {
  name: string
  title: string
  entries: readonly Entry<Value>[]
  /** Where the rest is found. */
  where: string
  /** There may be more than were looked at. */
  open: boolean
}

export interface Digest {
  text: string
  /** Of each section, how many of its entries fit in. */
  taken: ReadonlyMap<string, number>
  /** Sections that are not told whole, and how many of what is known of them is left out. */
  left: Record<string, number>
}

/** Puts as much as fits into `length` characters; a section that has entries is mentioned whatever stands before it. */
export function digest(head: string, sections: readonly Section[], length: number): Digest {
  const told = sections.filter(({ entries }) => entries.length > 0)
  const taken = new Map<string, number>()
  const left: Record<string, number> = {}
  // Room for each title and each count, so that none is lost to what stands before it.
  let room = length - head.length - told.reduce((sum, section) => sum + frameOf(section), 0)
  const parts = told.map((section) => {
    const { name, title, entries, where, open } = section
    const lines: string[] = []
    for (const { text } of entries) {
      if (text.length + 1 > room) break
      lines.push(text)
      room -= text.length + 1
    }
    taken.set(name, lines.length)
    const missing = entries.length - lines.length
    if (missing > 0 || open) {
      left[name] = missing
      lines.push(countOf(missing, open, where))
    }
    return [`\n## ${title}`, ...lines].join('\n')
  })
  return { text: [head, ...parts].join('\n'), taken, left }
}

const countOf = (missing: number, open: boolean, where: string): string =>
  `- … and ${missing > 0 ? `${missing}${open ? ' or more' : ''}` : 'more'}: ${where}`

const frameOf = (section: Section): number => {
  const { title, entries, where } = section
  return `\n\n## ${title}\n${countOf(entries.length, true, where)}`.length
}
