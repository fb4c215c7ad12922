// Runs the public suite for HTTP caches against BASE and counts what passes.
//
//   node run.mjs SUITE ENGINE BASE KNOWN
//
// SUITE is the directory of the suite and ENGINE the one in it that has its client and its server.
// KNOWN has a line for each required or optimal test that is known to fail: its id, and why. The
// exit code is 1 if a required test fails that it does not name, or one passes that it names; but
// for those whose reason is a policy of a profile.

import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [suite, engine, base, knownFile] = process.argv.slice(2)
const load = (directory, path) => import(new URL(path, pathToFileURL(`${directory}/`)).href)

const { runTests, getResults } = await load(engine, 'client/runner.mjs')
const suites = (await load(suite, 'tests/index.mjs')).default

const known = new Map()
for (const line of readFileSync(knownFile, 'utf8').split('\n')) {
  const [id, ...why] = line.split(' ')
  if (id && !id.startsWith('#')) known.set(id, why.join(' '))
}

// A cache mode would have the client write fields of its own.
const plainFetch = (url, init) => fetch(url, { ...init, cache: undefined })
await runTests(suites, plainFetch, false, base, 100)
const results = getResults()

const counts = { required: [0, 0], optimal: [0, 0], check: [0, 0] }
const told = []
let isGood = true
for (const { tests } of suites) {
  for (const test of tests) {
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
