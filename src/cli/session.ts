import type { MethodName } from '../bridge/index.js'
import { CallError, type Client, ConnectionError, connectLocal, type LocalOptions } from '../client/node.js'
import { fail } from './exits.js'
import { environmentOf, type Globals } from './globals.js'

/** Connects as the options say. Nothing hangs on the session, for a command may be over in a moment. @throws ConnectionError */
export function openSession(globals: Globals, more: Partial<LocalOptions> = {}): Promise<Client> {
  const env = environmentOf(globals)
  const agent = globals.as ?? env.AGENT_BRIDGE_AGENT
  return connectLocal({
    ...(agent && { agent }),
    ...(globals.home && { home: globals.home }),
    env,
    oneShot: true,
    ...more,
  })
}

/** Makes one call, and waits for its answer as long as it takes. @throws CallError, ConnectionError, Failure */
export async function callOnce(globals: Globals, method: string, params: object): Promise<unknown> {
  const client = await openSession(globals, { reconnect: false })
  try {
    // The name comes from the registry, and the bridge judges the parameters.
    return await refusalInFlags(method, client.call(method as MethodName, params as never))
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error
    return fail('unreachable', `The daemon was lost before it answered: ${method} may or may not have had its effect.`)
  } finally {
    await client.close()
  }
}

/** What the bridge advises in its refusal is named as it is typed here, and its facts as they are printed below it. */
export async function refusalInFlags<Result>(method: string, call: Promise<Result>): Promise<Result> {
  try {
    return await call
  } catch (error) {
    if (!(error instanceof CallError)) throw error
    const [{ methods }, { inFlags }] = await Promise.all([import('../bridge/index.js'), import('./params.js')])
    const known = methods.get(method)
    if (!known) throw error
    const message = inFlags(error.message, known).replace(/`data\.(\w+)`/g, '`$1`')
    throw new CallError(error.reason, message, error.data, error.code)
  }
}
