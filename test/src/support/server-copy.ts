import { chmodSync, copyFileSync, cpSync, existsSync, linkSync, mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from './server-process.ts'

/**
 * Copies the server's packages and Node to a folder that every user can read: the clone may be below a closed folder.
 */
export function copyServer(folder: string): { node: string; packages: string } {
  mkdirSync(folder)
  const modules = join(folder, 'node_modules')
  for (const name of ['core', 'server']) {
    const source = realpathSync(join(root, 'packages', name))
    cpSync(join(source, 'package.json'), join(folder, name, 'package.json'))
    cpSync(join(source, 'dist'), join(folder, name, 'dist'), { recursive: true })
    if (existsSync(join(source, 'docs-page'))) {
      cpSync(join(source, 'docs-page'), join(folder, name, 'docs-page'), { recursive: true })
    }
    copyDependencies(source, modules)
  }
  const node = join(folder, 'node')
  try {
    linkSync(process.execPath, node)
  } catch {
    copyFileSync(process.execPath, node) // on another disk
  }
  chmodSync(node, 0o755)
  return { node, packages: folder }
}

/** The copy is flat, because no two packages need different versions of one. */
function copyDependencies(source: string, modules: string): void {
  const { dependencies = {} } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies)) {
    const target = join(modules, name)
    if (existsSync(target)) continue
    const found = realpathSync(nearest(source, name))
    cpSync(found, target, { recursive: true, filter: (path) => path === found || !path.endsWith('/node_modules') })
    copyDependencies(found, modules)
  }
}

function nearest(folder: string, name: string): string {
  const path = join(folder, 'node_modules', name)
  return existsSync(path) ? path : nearest(dirname(folder), name)
}
