import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { contractsFile, render } from '../docs/generate.js'

const docs = suite('docs')

docs('the tables of CONTRACTS.md are those of the registry', () => {
  const document = readFileSync(contractsFile, 'utf8')
  assert.ok(render(document) === document, 'CONTRACTS.md differs from the code: run `npm run docs`')
})

docs('a table that nobody makes is noticed, and one that differs is made anew', () => {
  assert.throws(() => render('<!-- table: nothing -->\n<!-- end -->'), /nobody makes/)
  const made = render('<!-- table: errors -->\nold\n<!-- end -->')
  assert.match(made, /LOCK_CONFLICT/)
  assert.not.match(made, /^old$/m)
})

docs.run()
