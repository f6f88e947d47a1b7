import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import { CallError, type Client } from '../client/index.js'
import type { Model } from './state/model.js'

/** What every view is given: the model, the clock it is drawn by, and a way to act. */
export interface App {
  model: Model
  nowMs: number
  /** Rises with every drawing in which something may have changed. */
  drawn: number
  /** Connected, and allowed to change things. */
  mayAct: boolean
  /** Makes a call, and tells how it went: `done` in words, or the refusal. True when it was done. */
  act(done: string, call: (client: Client) => Promise<unknown>): Promise<boolean>
  /** Opens the form that sends a message. */
  compose(to?: Draft): void
}

/** A message to be written. */
export interface Draft {
  to?: string
  contractId?: string
  replyTo?: string
}

const AppContext = createContext<App | undefined>(undefined)
export const AppProvider = AppContext.Provider

/** @throws outside of `AppProvider` */
export function useApp(): App {
  const app = useContext(AppContext)
  if (!app) throw new Error('This is drawn outside of the page.')
  return app
}

/** Why a call did not do what it should, in words for whoever asked for it. */
export const reasonOf = (error: unknown): string =>
  error instanceof CallError
    ? `${error.message} (${error.reason})`
    : error instanceof Error
      ? error.message
      : 'It failed.'
