// Loaded by --import before the program. Node is started with an entry below /opt/theazo, where code cannot create a file or
// link that Node would run instead. The hooks below give the program the URL of /workspace/main.ts: relative imports find the
// user's files, stack traces name that path, and programs can use `require`. The program is read from descriptor 3, perhaps
// long after the start. Workers and forks of the program load this module again: they find their program in the environment
// data, or in the query of this module.
import { chmodSync, closeSync, lstatSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { createRequire, registerHooks, stripTypeScriptTypes } from 'node:module'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { getSystemErrorMessage } from 'node:util'
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import { explainMissingExport } from './missing-export.mjs'
import { resolve } from './resolve.mjs'

const forked = new URL(import.meta.url).searchParams.get('main')
// Run while nobody waits: it loads the console and the module loader. It does not load the compiler, which takes as long as all
// the rest: the server has compiled most programs, see typescript-compiler.ts.
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
    return { ...loadProgram(text), shortCircuit: true }
  },
})
process.on('uncaughtExceptionMonitor', explainMissingExport)
if (isMainThread && !forked) process.title = 'theazo-waiting' // see titles.py
if (isMainThread && !forked) await import(rehearsal).catch(() => {})
;({ path, main, compiled } = forked
  ? JSON.parse(forked)
  : isMainThread
    ? startJob()
    : getEnvironmentData('theazo:main'))

function isMain(specifier, parentUrl) {
  if (parentUrl === undefined) return specifier === main || isEntry(specifier)
  return /^(\.{1,2}\/|\/|file:)/.test(specifier) && URL.parse(specifier, parentUrl)?.href === main
}

/** Node has resolved links by now: a worker or a fork of the program is recognized by its argument. */
function isEntry(specifier) {
  if (isStarted) return false
  isStarted = true
  return specifier === entry || (process.argv[1] !== undefined && pathToFileURL(process.argv[1]).href === main)
}

/** Waits for the job, and prepares this process to run it. */
function startJob() {
  const { path, compiled, cwd, env, texts } = JSON.parse(readFileSync(3, 'utf8'))
  closeSync(3)
  ;[text, compiledText] = texts ?? [path, compiled?.path].map((name) => name && readCode(name))
  writeSync(4, '.') // the job is accepted: if this process is killed from now on, the exec has been killed
  closeSync(4)
  for (const name of Object.keys(process.env)) delete process.env[name]
  Object.assign(process.env, env)
  // Otherwise process.exit would lose output that the pipe has not accepted yet.
  for (const { _handle: pipe } of [process.stdout, process.stderr]) pipe?.setBlocking?.(true)
  enterFolder(cwd)
  const name = ['main.ts', 'main-1.ts', 'main-2.ts'].find(isFree) ?? 'main-3.ts'
  process.argv[1] = `/workspace/${name}`
  process.title = `node ${process.argv[1]}`
  writeFileSync('/proc/self/comm', 'node') // setting the title has also set the name
  const main = pathToFileURL(process.argv[1]).href
  globalThis.require = createRequire(main)
  process.on('exit', endNow)
  const job = { path, main, compiled }
  setEnvironmentData('theazo:main', job)
  const query = `${import.meta.url}?main=${encodeURIComponent(JSON.stringify(job))}`
  process.execArgv = process.execArgv.map((flag) => (flag === import.meta.url ? query : flag))
  return job
}

function isFree(name) {
  return lstatSync(`/workspace/${name}`, { throwIfNoEntry: false }) === undefined
}

/** Code has the same user, and may close the folders during the read: see job.py. */
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

/** Ends the process immediately: the regular end of Node frees everything first, which takes milliseconds. */
function endNow(code) {
  if (code !== 0) return // an uncaught error is printed only after this
  const listeners = process.rawListeners('exit')
  for (const listener of listeners.slice(listeners.indexOf(endNow) + 1)) Reflect.apply(listener, process, [code])
  process.reallyExit(process.exitCode ?? code)
}

function enterFolder(folder) {
  try {
    for (let tries = 0; ; tries += 1) {
      try {
        process.chdir(folder)
        break
      } catch (error) {
        if (error.code !== 'EACCES' || tries === 100) throw error
        chmodSync('/workspace', 0o700) // code may have closed it, and no program could start there
      }
    }
  } catch (error) {
    writeSync(2, `${folder}: ${getSystemErrorMessage(error.errno)}\n`)
    process.exit(126)
  }
}

/** Types are stripped if that is enough: stack traces then show the text of the user. Otherwise the program is transformed. */
function loadProgram(source) {
  if (compiled) {
    compiledText ??= readFileSync(compiled.path, 'utf8')
    return { format: 'module', source: compiled.isTransformed ? withSourceText(compiledText, source) : compiledText }
  }
  for (const compile of [stripTypeScriptTypes, transformed]) {
    try {
      return { format: 'module', source: compile(source) }
    } catch {} // it needs a transformation, or is invalid
  }
  return { format: 'module-typescript', source } // Node reports the error best
}

function transformed(source) {
  return withSourceText(stripTypeScriptTypes(source, { mode: 'transform', sourceMap: true, sourceUrl: main }), source)
}

/** Adds the user's text and its URL to the source map: there is no file that contains the text. */
function withSourceText(code, source) {
  return code.replace(/(?<=\n\/\/# sourceMappingURL=data:application\/json;base64,)[\w+/=]+\s*$/, (map) => {
    const whole = { ...JSON.parse(Buffer.from(map, 'base64').toString()), sources: [main], sourcesContent: [source] }
    return Buffer.from(JSON.stringify(whole)).toString('base64')
  })
}
