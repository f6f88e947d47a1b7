import { join, resolve } from 'node:path'
import { takeHome, workspacesIn } from './home.js'
import { SetupError } from './protocol/errors.js'
import { type Copied, copyIn, copyOut } from './store/copy.js'

export type { Copied } from './store/copy.js'

const databaseFile = (home: string, workspace: string): string => join(home, 'workspaces', `${workspace}.db`)

/** Copies a workspace to a new file, whether or not a daemon runs. @throws SetupError */
export async function backUp(home: string, workspace: string, file: string): Promise<Copied> {
  const known = workspacesIn(home)
  if (!known.includes(workspace)) {
    const others = known.length > 0 ? `there are ${known.join(', ')}: name one with --workspace` : 'there is none yet'
    throw new SetupError(`There is no workspace ${workspace} in ${home}; ${others}.`)
  }
  return copyOut(databaseFile(home, workspace), resolve(file))
}

/** Puts a copy in the place of a workspace, while no daemon has the home. @throws SetupError */
export async function restore(
  home: string,
  workspace: string,
  file: string,
): Promise<{ copied: Copied; replaced?: string }> {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/.test(workspace)) {
    throw new SetupError('A workspace is named with up to 100 letters, digits, ".", "_" and "-".')
  }
  const taken = takeHome(home)
  try {
    const other = workspacesIn(home).find(
      (known) => known !== workspace && known.toLowerCase() === workspace.toLowerCase(),
    )
    if (other) throw new SetupError(`There is a workspace ${other}: names that differ in case only are one name.`)
    return await copyIn(resolve(file), databaseFile(home, workspace))
  } finally {
    taken.release()
  }
}
