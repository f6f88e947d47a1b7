/** An instant as it travels and is stored: ISO 8601, UTC, milliseconds. Instants of this one form sort as text. */
export type Instant = string

/** Milliseconds since 1970 to an instant. */
export const toInstant = (ms: number): Instant => new Date(ms).toISOString()

/** An instant to milliseconds since 1970. */
export const toMs = (instant: Instant): number => Date.parse(instant)

/** The instant `ms` milliseconds later. */
export const later = (instant: Instant, ms: number): Instant => toInstant(toMs(instant) + ms)

/** Milliseconds from one instant to another; negative when `to` is the earlier. */
export const between = (from: Instant, to: Instant): number => toMs(to) - toMs(from)
