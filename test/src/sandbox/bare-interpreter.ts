import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Language } from '@theazo/core'

/** How a program ended, with what differs from place to place (paths, addresses, process ids) written alike. */
export interface Ending {
  stdout: string
  stderr: string
  exitCode: number
}

/** A program, and what it reads. */
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

/** Those of `test/fixture`. What has `[stdin]` in its title is given two lines to read. */
export function programsOf(lang: Language): Program[] {
  const text = readFileSync(fileURLToPath(new URL(`../../fixture/${lang}-programs.txt`, import.meta.url)), 'utf8')
  const parts = `\n${text}`.split(`\n${interpreters[lang].separator}`).slice(1)
  return parts.map((part) => {
    const end = part.indexOf('\n')
    const title = part.slice(0, end)
    return { title, code: `${part.slice(end + 1)}\n`, stdin: title.includes('[stdin]') ? 'one\ntwo é\n' : undefined }
  })
}

/** Runs a program as a user would, without any sandbox: what the sandbox is to be like. */
export function runBare(lang: Language, code: string, stdin = ''): Ending {
  const { command, name } = interpreters[lang]
  const folder = mkdtempSync(join(tmpdir(), 'theazo-bare-'))
  try {
    writeFileSync(join(folder, name), code)
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }') // as the sandbox has it
    const { stdout, stderr, status, signal } = spawnSync(command[0] ?? '', [...command.slice(1), join(folder, name)], {
      cwd: folder,
      env: { PATH: `/usr/bin:/bin:${dirname(process.execPath)}`, HOME: folder, LANG: 'C.UTF-8', TERM: 'dumb' },
      input: stdin,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    })
    const alike = (text: string): string =>
      alikeEverywhere(text.replaceAll(join(folder, name), '<main>').replaceAll(folder, '<cwd>'))
    return {
      stdout: alike(stdout),
      stderr: alike(stderr),
      exitCode: status ?? 128 + (signal ? constants.signals[signal] : 0),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The same of what the sandbox has told. */
export function alikeInSandbox({ stdout, stderr, exitCode }: Ending): Ending {
  return { stdout: alikeOurs(stdout), stderr: alikeOurs(stderr), exitCode }
}

/** Node's stack traces also show frames of its own, which depend on how it was started, and marks places by one sign or more. */
export function withoutFramesOfNode({ stderr, ...ending }: Ending): Ending {
  const lines = stderr
    .split('\n')
    .filter((line) => !/^\s*(at |\.\.\. \d+ lines)(?!.*<main>)|^node:internal\/|^\s*\^+$/.test(line))
  return { ...ending, stderr: lines.map((line) => line.replace(/<anonymous> \((.*)\)$/, '$1')).join('\n') }
}

function alikeOurs(text: string): string {
  const paths = /\/run\/theazo\/\d+\/main\.\w+|\/workspace\/main\.ts/g
  return alikeEverywhere(text.replaceAll(paths, '<main>').replaceAll('/workspace', '<cwd>'))
}

function alikeEverywhere(text: string): string {
  return text
    .replaceAll('file://<main>', '<main>')
    .replaceAll(/0x[0-9a-f]+/g, '0x')
    .replaceAll(/\(node:\d+\)/g, '(node)')
}
