import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** A docker container that contains the bash of this machine. */
export interface BashContainer extends Disposable {
  /** Runs bash in the container with `docker exec` and waits for its end. */
  echo(): Promise<void>
}

/** Starts the container; returns undefined if docker does not run. The image is built from local files, without a registry. */
export function startContainer(): BashContainer | undefined {
  const found = spawnSync('docker', ['info', '--format', '{{.ServerVersion}}'], { encoding: 'utf8', timeout: 10_000 })
  if (found.status !== 0) return undefined
  const name = `theazo-bench-${randomUUID()}`
  const remove = (): void => {
    spawnSync('docker', ['rm', '--force', name])
    spawnSync('docker', ['rmi', '--force', name])
  }
  try {
    importImage(name)
    execFileSync('docker', ['run', '--detach', '--network', 'none', '--name', name, name, '/bin/sleep', '3600'])
  } catch (error) {
    remove()
    throw error
  }
  return {
    async echo() {
      const child = spawn('docker', ['exec', name, '/bin/bash', '-c', 'echo 4'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let out = ''
      child.stdout.on('data', (chunk) => (out += chunk))
      await once(child, 'close')
      if (out !== '4\n') throw new Error(`docker exec printed ${out}`)
    },
    [Symbol.dispose]: remove,
  }
}

function importImage(name: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-image-'))
  try {
    const programs = ['/bin/bash', '/bin/sleep']
    const libraries = programs.flatMap((program) => {
      const listed = execFileSync('/usr/bin/ldd', [program], { encoding: 'utf8' })
      return Array.from(listed.matchAll(/(\/\S+) \(0x/g), ([, path = '']) => path)
    })
    for (const path of new Set([...programs, ...libraries])) {
      const copy = join(folder, path)
      mkdirSync(dirname(copy), { recursive: true })
      copyFileSync(path, copy)
    }
    const archive = execFileSync('tar', ['--create', '--directory', folder, '.'], { maxBuffer: 64 * 1024 * 1024 })
    execFileSync('docker', ['import', '-', name], { input: archive })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
