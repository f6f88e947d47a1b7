/** What locks are asked for: reading a resource, whether two overlap, where to look for those that may. Pure. */
export { type Pattern, parseResource } from './grammar.js'
export { type CandidateKeys, candidateKeys, isConcrete, keysOf } from './keys.js'
export { covers, overlaps } from './overlap.js'
