import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Language } from '@theazo/core'

/** Result of a program. Values that differ between runs (paths, addresses, process ids) are replaced by fixed text. */
export interface ProgramResult {
  stdout: string
  stderr: string
  exitCode: number
}

/** A program and its standard input. */
export interface Program {
  title: string
  code: string
  stdin: string | undefined
}

const interpreters: Record<Language, { command: string[]; name: string; separator: string }> = {
  python: { command: ['/usr/bin/python3'], name: 'main.py', separator: '#=== ' },
  typescript: {
    command: [process.execPath, '--experimental-transform-types', '--disable-warning=ExperimentalWarning'],
    name: 'main.ts',
    separator: '//=== ',
  },
  bash: { command: ['/bin/bash'], name: 'main.sh', separator: '#=== ' },
}

/** The programs of `test/fixture`. A program with `[stdin]` in its title gets two lines of input. */
export function programsOf(lang: Language): Program[] {
  const text = readFileSync(fileURLToPath(new URL(`../../fixture/${lang}-programs.txt`, import.meta.url)), 'utf8')
  const parts = `\n${text}`.split(`\n${interpreters[lang].separator}`).slice(1)
  return parts.map((part) => {
    const end = part.indexOf('\n')
    const title = part.slice(0, end)
    return { title, code: `${part.slice(end + 1)}\n`, stdin: title.includes('[stdin]') ? 'one\ntwo é\n' : undefined }
  })
}

/** Runs a program without a sandbox, to compare the sandbox with. */
export function runUnsandboxed(lang: Language, code: string, stdin = ''): ProgramResult {
  const { command, name } = interpreters[lang]
  const folder = mkdtempSync(join(tmpdir(), 'theazo-bare-'))
  try {
    writeFileSync(join(folder, name), code)
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }') // as in the sandbox
    const { stdout, stderr, status, signal } = spawnSync(command[0] ?? '', [...command.slice(1), join(folder, name)], {
      cwd: folder,
      env: { PATH: `/usr/bin:/bin:${dirname(process.execPath)}`, HOME: folder, LANG: 'C.UTF-8', TERM: 'dumb' },
      input: stdin,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    })
    const alike = (text: string): string =>
      normalizeVolatileValues(text.replaceAll(join(folder, name), '<main>').replaceAll(folder, '<cwd>'))
    return {
      stdout: alike(stdout),
      stderr: alike(stderr),
      exitCode: status ?? 128 + (signal ? constants.signals[signal] : 0),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The line that the sandbox adds to an error about a missing export (inside/missing-export.mjs). */
const missingExportHint = /^If '.*' is a type, .* Types are removed before code runs\.\n/gm

/** Replaces the same values in a result from the sandbox, and removes the sandbox's own hint. */
export function normalizeSandboxResult({ stdout, stderr, exitCode }: ProgramResult): ProgramResult {
  const withoutHint = normalizeSandboxPaths(stderr).replaceAll(missingExportHint, '')
  return { stdout: normalizeSandboxPaths(stdout), stderr: withoutHint, exitCode }
}

/**
 * Removes the frames of node itself, which depend on how node was started, and the lines of `^`, which differ in
 * length.
 */
export function withoutNodeFrames({ stderr, ...ending }: ProgramResult): ProgramResult {
  const lines = stderr
    .split('\n')
    .filter((line) => !/^\s*(at |\.\.\. \d+ lines)(?!.*<main>)|^node:internal\/|^\s*\^+$/.test(line))
  return { ...ending, stderr: lines.map((line) => line.replace(/<anonymous> \((.*)\)$/, '$1')).join('\n') }
}

function normalizeSandboxPaths(text: string): string {
  const paths = /\/run\/theazo\/\d+\/main\.\w+|\/workspace\/main\.ts/g
  return normalizeVolatileValues(text.replaceAll(paths, '<main>').replaceAll('/workspace', '<cwd>'))
}

function normalizeVolatileValues(text: string): string {
  return text
    .replaceAll('file://<main>', '<main>')
    .replaceAll(/0x[0-9a-f]+/g, '0x')
    .replaceAll(/\(node:\d+\)/g, '(node)')
}
