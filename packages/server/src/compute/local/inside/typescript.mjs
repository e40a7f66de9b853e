// Loaded by --import before the program. Node is started with an entry below /opt/theazo, where code can make no file or
// link that node would run instead. The hooks below give the program the URL of /workspace/main.ts: relative imports find
// the user's files, stack traces name that place, and `require` is there for programs that use it. The program comes by
// descriptor 3, perhaps long after the start. Workers and forks of the program load this again: environment data, or the
// query of this module, says which program is theirs.
import { chmodSync, closeSync, lstatSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { createRequire, registerHooks, stripTypeScriptTypes } from 'node:module'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { getSystemErrorMessage } from 'node:util'
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import { explainMissingExport } from './missing-export.mjs'
import { resolve } from './resolve.mjs'

const forked = new URL(import.meta.url).searchParams.get('main')
// Run while nobody waits: the console and the way of a module are loaded by then. Not the compiler, which takes as long as
// all the rest: most programs come with what the server has made of them, see typescript-compiler.ts.
const rehearsal = 'file:///opt/theazo/rehearsal.mjs'
const entry = 'file:///opt/theazo/main.ts'
const rehearsed = `new console.Console({ write() {}, once() {}, removeListener() {} }).log('%s', 1, [{ at: 1 }])`
let path, main, compiled, text, compiledText
let isStarted = false
registerHooks({
  resolve: (specifier, context, next) => {
    const url = specifier === rehearsal ? rehearsal : main
    return url === rehearsal || isMain(specifier, context.parentURL)
      ? { url, shortCircuit: true }
      : resolve(specifier, context, next)
  },
  load: (url, context, next) => {
    if (url === rehearsal && path === undefined) return { format: 'module', source: rehearsed, shortCircuit: true }
    if (url !== main) return next(url, context)
    text ??= readFileSync(path, 'utf8')
    return { ...program(text), shortCircuit: true }
  },
})
process.on('uncaughtExceptionMonitor', explainMissingExport)
if (isMainThread && !forked) process.title = 'theazo-waiting' // see titles.py
if (isMainThread && !forked) await import(rehearsal).catch(() => {})
;({ path, main, compiled } = forked ? JSON.parse(forked) : isMainThread ? begin() : getEnvironmentData('theazo:main'))

function isMain(specifier, parentUrl) {
  if (parentUrl === undefined) return specifier === main || isEntry(specifier)
  return /^(\.{1,2}\/|\/|file:)/.test(specifier) && URL.parse(specifier, parentUrl)?.href === main
}

/** Node has followed links by now: a worker or a fork of the program is known by what it was asked for. */
function isEntry(specifier) {
  if (isStarted) return false
  isStarted = true
  return specifier === entry || (process.argv[1] !== undefined && pathToFileURL(process.argv[1]).href === main)
}

/** Waits for what is to be run, and makes this process the one it is to run in. */
function begin() {
  const { path, compiled, cwd, env, texts } = JSON.parse(readFileSync(3, 'utf8'))
  closeSync(3)
  ;[text, compiledText] = texts ?? [path, compiled?.path].map((name) => name && readCode(name))
  writeSync(4, '.') // it is not lost, should this process be killed
  closeSync(4)
  for (const name of Object.keys(process.env)) delete process.env[name]
  Object.assign(process.env, env)
  // Or process.exit would lose what the pipe has not taken yet.
  for (const { _handle: pipe } of [process.stdout, process.stderr]) pipe?.setBlocking?.(true)
  enter(cwd)
  const name = ['main.ts', 'main-1.ts', 'main-2.ts'].find(isFree) ?? 'main-3.ts'
  process.argv[1] = `/workspace/${name}`
  process.title = `node ${process.argv[1]}`
  writeFileSync('/proc/self/comm', 'node') // the title has become the name, too
  const main = pathToFileURL(process.argv[1]).href
  globalThis.require = createRequire(main)
  process.on('exit', leave)
  const ours = { path, main, compiled }
  setEnvironmentData('theazo:main', ours)
  const query = `${import.meta.url}?main=${encodeURIComponent(JSON.stringify(ours))}`
  process.execArgv = process.execArgv.map((flag) => (flag === import.meta.url ? query : flag))
  return ours
}

function isFree(name) {
  return lstatSync(`/workspace/${name}`, { throwIfNoEntry: false }) === undefined
}

/** Code has the same user, and may close the folders while this reads: see job.py. */
function readCode(path) {
  for (let tries = 0; ; tries += 1) {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      if (error.code !== 'EACCES' || tries === 100) process.reallyExit(73) // NOT_READ of worker.py
    }
    for (const [name, mode] of [
      ['/run/theazo', 0o700],
      [dirname(path), 0o700],
      [path, 0o600],
    ]) {
      try {
        chmodSync(name, mode)
      } catch {}
    }
  }
}

/** The end of `process.exit`, where the program ends by itself too: to take everything apart first takes milliseconds. */
function leave(code) {
  if (code !== 0) return // what was not caught is told only after this
  const listeners = process.rawListeners('exit')
  for (const listener of listeners.slice(listeners.indexOf(leave) + 1)) Reflect.apply(listener, process, [code])
  process.reallyExit(process.exitCode ?? code)
}

function enter(folder) {
  try {
    for (let tries = 0; ; tries += 1) {
      try {
        process.chdir(folder)
        break
      } catch (error) {
        if (error.code !== 'EACCES' || tries === 100) throw error
        chmodSync('/workspace', 0o700) // code may have closed it, and nothing would start there any more
      }
    }
  } catch (error) {
    writeSync(2, `${folder}: ${getSystemErrorMessage(error.errno)}\n`)
    process.exit(126)
  }
}

/** Stripped where that is enough: what is shown of the code is then the user's, and not what a compiler has made of it. */
function program(source) {
  if (compiled) {
    compiledText ??= readFileSync(compiled.path, 'utf8')
    return { format: 'module', source: compiled.isTransformed ? withText(compiledText, source) : compiledText }
  }
  for (const compile of [stripTypeScriptTypes, transformed]) {
    try {
      return { format: 'module', source: compile(source) }
    } catch {} // it needs more, or is wrong
  }
  return { format: 'module-typescript', source } // node says best what is wrong
}

function transformed(source) {
  return withText(stripTypeScriptTypes(source, { mode: 'transform', sourceMap: true, sourceUrl: main }), source)
}

/** With the user's text in its source map, and the place it has: there is no file to take it from. */
function withText(code, source) {
  return code.replace(/(?<=\n\/\/# sourceMappingURL=data:application\/json;base64,)[\w+/=]+\s*$/, (map) => {
    const whole = { ...JSON.parse(Buffer.from(map, 'base64').toString()), sources: [main], sourcesContent: [source] }
    return Buffer.from(JSON.stringify(whole)).toString('base64')
  })
}
