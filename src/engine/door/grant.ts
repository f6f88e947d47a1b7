import type { Role } from '../../protocol/method.js'

/** What a token allows: a role, and, unless it is the operator's, only one name and one workspace. */
export interface Grant {
  role: Role
  operator: boolean
  agent?: string
  workspace?: string
  tokenId?: string
  /** Calls a minute; not limited unless told. */
  ratePerMinute?: number | undefined
}
