import type { Fields } from '../../protocol/fields.js'
import { fieldsOf, textOf } from './adapter.js'

/** Calls of ours to an agent that answers them, in JSON-RPC without its version. */
export interface AgentCalls {
  /** Rejects with what the agent says against it. */
  make(method: string, params: object): Promise<Fields>
  answered(message: Fields): void
}

export function createCalls(send: (message: object) => void): AgentCalls {
  const open = new Map<number, { resolve(result: Fields): void; reject(error: Error): void }>()
  let lastId = 0
  return {
    make: (method, params) =>
      new Promise((resolve, reject) => {
        const id = ++lastId
        open.set(id, { resolve, reject })
        send({ method, id, params })
      }),
    answered({ id, result, error }) {
      const call = open.get(Number(id))
      open.delete(Number(id))
      if (error === undefined || error === null) call?.resolve(fieldsOf(result))
      else call?.reject(new Error(textOf(fieldsOf(error).message) || JSON.stringify(error)))
    },
  }
}
