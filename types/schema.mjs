// Makes dist/schema.json, the JSON Schema of a desired state as a configuration file has it, from
// the types and their comments.
//
//   node types/schema.mjs FILE

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { createGenerator } from 'ts-json-schema-generator'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))

const generator = createGenerator({
  path: here('desired.d.ts'),
  tsconfig: here('../tsconfig.build.json'),
  // `npm run lint` does that.
  skipTypeCheck: true,
  topRef: false,
})

/** Links mean nothing outside of the types. */
const plain = (text) => text.replaceAll(/ *\{@link\s+(?:\w+\.)?(\w+)\s*\} ?/g, ' `$1`')

const schema = {
  title: 'Virtual servers of ipvs-netlink',
  ...generator.createSchema('DesiredTable'),
}
const text = JSON.stringify(
  schema,
  (name, value) => (name === 'description' && typeof value === 'string' ? plain(value) : value),
  2,
)
writeFileSync(process.argv[2], `${text}\n`)
