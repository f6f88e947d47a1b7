import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

/** Rows drawn above and below those that are seen. */
const MARGIN_ROWS = 8

export interface ScrollProps<Item> {
  label: string
  items: readonly Item[]
  /** Of every row, px. */
  rowHeight: number
  keyOf(item: Item): string
  draw(item: Item): ComponentChildren
  /** Called when the last row comes into sight. */
  onEnd?: () => void
  /** Drawn in place of the rows, when there are none. */
  empty: ComponentChildren
}

/** A list of which only the rows in sight are in the document, so that its length costs nothing. */
export function Scroll<Item>({ label, items, rowHeight, keyOf, draw, onEnd, empty }: ScrollProps<Item>) {
  const box = useRef<HTMLDivElement>(null)
  const [{ top, height }, setView] = useState({ top: 0, height: 800 })
  const first = Math.max(0, Math.floor(top / rowHeight) - MARGIN_ROWS)
  const last = Math.min(items.length, Math.ceil((top + height) / rowHeight) + MARGIN_ROWS)
  useSteady(box, items, keyOf, rowHeight)

  const measure = () => {
    const { current } = box
    if (current) setView({ top: current.scrollTop, height: current.clientHeight })
  }
  useEffect(() => {
    const observer = new ResizeObserver(measure)
    if (box.current) observer.observe(box.current)
    return () => observer.disconnect()
  }, [])
  useEffect(() => {
    if (last >= items.length) onEnd?.()
  }, [last, items.length, onEnd])

  return (
    <section class="scroll" ref={box} onScroll={measure} aria-label={label} tabIndex={0}>
      {items.length === 0 ? (
        <div class="empty">{empty}</div>
      ) : (
        <ol class="rows" style={{ height: `${items.length * rowHeight}px` }}>
          {items.slice(first, last).map((item, index) => (
            <li
              key={keyOf(item)}
              aria-setsize={items.length}
              aria-posinset={first + index + 1}
              style={{ top: `${(first + index) * rowHeight}px`, height: `${rowHeight}px` }}
            >
              {draw(item)}
            </li>
          ))}
        </ol>
      )}
    </section>
  )
}

/** Keeps what is read in its place when rows come in above it; at the very top the newest stays in sight. */
function useSteady<Item>(
  box: { readonly current: HTMLDivElement | null },
  items: readonly Item[],
  keyOf: (item: Item) => string,
  rowHeight: number,
): void {
  const former = useRef<string | undefined>(undefined)
  const firstKey = items[0] === undefined ? undefined : keyOf(items[0])
  useLayoutEffect(() => {
    const moved = former.current === undefined ? 0 : items.findIndex((item) => keyOf(item) === former.current)
    former.current = firstKey
    if (box.current && moved > 0 && box.current.scrollTop > 0) box.current.scrollTop += moved * rowHeight
  }, [firstKey])
}
