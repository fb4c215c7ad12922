// Runs the public suite for HTTP caches against BASE and counts what passes.
//
//   node run.mjs SUITE-DIRECTORY BASE KNOWN
//
// KNOWN has a line for each required or optimal test that is known to fail: its id, and why. The
// exit code is 1 if a required test fails that it does not name, or one passes that it names; but
// for those whose reason is a policy of a profile.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [directory, base, knownFile] = process.argv.slice(2)
const here = pathToFileURL(`${directory}/`)
const load = (path) => import(new URL(path, here).href)

const { runTests, getResults } = await load('client/runner.mjs')
const suites = (await load('tests/index.mjs')).default
const fetch = createRequire(here)('node-fetch')

const known = new Map()
for (const line of readFileSync(knownFile, 'utf8').split('\n')) {
  const [id, ...why] = line.split(' ')
  if (id && !id.startsWith('#')) known.set(id, why.join(' '))
}

// A connection that is closed between two requests of a test is no fault of a cache.
await runTests(suites, fetch, false, base, 25)
const results = getResults()

const counts = { required: [0, 0], optimal: [0, 0], check: [0, 0] }
const told = []
let isGood = true
for (const suite of suites) {
  for (const test of suite.tests) {
    if (!(test.id in results)) continue
    const kind = test.kind ?? 'required'
    const passed = results[test.id] === true
    counts[kind][0] += passed
    counts[kind][1] += 1
    if (kind === 'check') continue
    const isOfPolicy = known.get(test.id)?.startsWith('policy:')
    if (passed && known.has(test.id) && !isOfPolicy) {
      told.push(`${test.id} passes, and is named as known to fail`)
      isGood = false
    }
    if (passed) continue
    const why = known.get(test.id) ?? `${results[test.id]}`.replaceAll('\n', ' ')
    told.push(`${known.has(test.id) ? 'known' : 'FAILED'} ${kind} ${test.id}: ${why}`)
    if (kind === 'required' && !known.has(test.id)) isGood = false
  }
}
told.sort().forEach((line) => console.log(line))
for (const [kind, [passed, all]] of Object.entries(counts)) {
  console.log(`${kind}: ${passed} of ${all}`)
}
process.exit(isGood ? 0 : 1)
