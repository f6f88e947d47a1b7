import { randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createIds } from '../src/engine/ids.js'

const ids = suite('ids')

ids('sort in the order in which they were made, however many in one instant, and when time stands still', () => {
  const made = createIds({ bytes: randomBytes, hash: (text) => text })
  const instants = ['2030-01-01T00:00:00.000Z', '2030-01-01T00:00:00.001Z', '2029-12-31T23:59:59.000Z']
  const all = instants.flatMap((now) => Array.from({ length: 60_000 }, () => made.next('ctr', now)))
  assert.is(new Set(all).size, all.length)
  assert.is(
    all.findIndex((id, index) => index > 0 && id <= (all[index - 1] ?? '')),
    -1,
  )
})

ids.run()
