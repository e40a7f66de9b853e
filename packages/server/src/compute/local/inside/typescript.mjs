// Runs the code as a file of /workspace: relative imports find the user's files, stack traces name /workspace/main.ts,
// and `require` is there for those who write it. What is to be run comes by descriptor 3, perhaps long after the start.
import { closeSync, readFileSync } from 'node:fs'
import { createRequire, registerHooks, stripTypeScriptTypes } from 'node:module'

stripTypeScriptTypes('enum Warm { Up }', { mode: 'transform' }) // loads the compiler while nobody waits
const { path, cwd, env } = JSON.parse(readFileSync(3, 'utf8'))
closeSync(3)
for (const name of Object.keys(process.env)) delete process.env[name]
Object.assign(process.env, env)
process.chdir(cwd)
const [entry, main] = ['theazo:main', 'file:///workspace/main.ts']
globalThis.require = createRequire(main)
process.argv.splice(1, 1, '/workspace/main.ts')
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === entry ? { url: main, shortCircuit: true } : next(specifier, context),
  load: (url, context, next) =>
    url === main
      ? { format: 'module-typescript', source: readFileSync(path, 'utf8'), shortCircuit: true }
      : next(url, context),
})
await import(entry)
