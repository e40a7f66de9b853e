// The files of /workspace that an exec reports as new or changed.
import { spawnSync } from 'node:child_process'
import type { Agent, ExecFile } from '@theazo/core'
import { runCode } from '@theazo/core/tools'
import { beforeEach, expect, test } from 'vitest'
import { withLocalAgent } from '../support/local-agent.ts'

let agent: Agent
withLocalAgent((opened) => void (agent = opened))
beforeEach(
  async () => void (await agent.exec('bash', 'chmod -R u+rwX /workspace; find /workspace -mindepth 1 -delete')),
)

/** The files that a Bash exec reports. */
async function filesOf(code: string): Promise<ExecFile[] | undefined> {
  return (await agent.exec('bash', code)).files
}
async function pathsOf(code: string): Promise<string[]> {
  return ((await filesOf(code)) ?? []).map(({ path }) => path.replace('/workspace/', ''))
}

test('reports new files with path, size and media type, in every language, also hidden ones', async () => {
  const expected = [
    { path: '/workspace/plot.PNG', sizeBytes: 5, mediaType: 'image/png' },
    { path: '/workspace/.hidden', sizeBytes: 0 },
    { path: '/workspace/d/e/table.csv', sizeBytes: 3, mediaType: 'text/csv' },
  ]
  const programs = [
    [
      'python',
      'import os; os.makedirs("d/e"); open(".hidden", "w"); open("d/e/table.csv", "w").write("a,b"); open("plot.PNG", "w").write("12345")',
    ],
    [
      'typescript',
      "import fs from 'node:fs'\nfs.mkdirSync('d/e', { recursive: true })\nfor (const [name, text] of [['.hidden', ''], ['d/e/table.csv', 'a,b'], ['plot.PNG', '12345']]) fs.writeFileSync(name!, text!)",
    ],
    ['bash', 'mkdir -p d/e; > .hidden; printf a,b > d/e/table.csv; printf 12345 > plot.PNG'],
  ] as const
  for (const [lang, code] of programs) {
    const result = await agent.exec(lang, code)
    expect(result).toMatchObject({ exitCode: 0, files: expected })
    expect(result.filesTruncated).toBeUndefined()
    await agent.exec('bash', 'rm -r d .hidden plot.PNG')
  }
})

test('reports changed and renamed files; not read, deleted or untouched ones', async () => {
  expect(await pathsOf('for name in appended moved read deleted untouched; do echo x > $name; done')).toHaveLength(5)
  expect(await pathsOf('echo y >> appended; mv moved renamed; cat read; rm deleted; ls')).toEqual([
    'appended',
    'renamed',
  ])
  expect(await filesOf('cat read; ls')).toBeUndefined()
})

test('reports a file with an old modification time', async () => {
  expect(await pathsOf('echo x > old; touch -d 1999-01-01 old')).toEqual(['old'])
})

test('does not report links, folders, pipes, bytecode of imports, or files behind links', async () => {
  const code =
    'mkdir folder; ln -s /etc/passwd secret; ln -s /etc system; mkfifo pipe; echo "x = 1" > mod.py; python3 -c "import mod"; ls system/ > /dev/null'
  expect(await pathsOf(code)).toEqual(['mod.py'])
})

test('reports both names of a hard link', async () => {
  expect(await pathsOf('echo x > one; ln one two')).toEqual(['one', 'two'])
})

test('reports any valid text as a name; a name that is not UTF-8 is omitted and the flag is set', async () => {
  const odd = await agent.exec(
    'bash',
    String.raw`echo > $'new\nline'; echo > "q'\"uote"; echo > 'é😀'; echo > ' '; echo > '$x'`,
  )
  expect(odd.files?.map(({ path }) => path)).toEqual([
    '/workspace/ ',
    '/workspace/$x',
    '/workspace/new\nline',
    `/workspace/q'"uote`,
    '/workspace/é😀',
  ])
  expect(odd.filesTruncated).toBeUndefined()
  const bad = await agent.exec('bash', String.raw`echo > $'bad\xff'; echo > good`)
  expect(bad.files?.map(({ path }) => path)).toEqual(['/workspace/good'])
  expect(bad.filesTruncated).toBe(true)
})

test.each([
  [100, undefined],
  [101, true],
])('of %i files, reports at most 100, and the flag shows whether files are missing', async (count, isCut) => {
  const { files, filesTruncated } = await agent.exec('bash', `for n in {1..${count}}; do > $n; done`)
  expect([files?.length, filesTruncated]).toEqual([100, isCut])
})

test('of more than 20,000 files, examines those near the top first, and sets the flag', async () => {
  const code = 'mkdir -p a/b; for n in {1..20001}; do > a/b/$n; done; echo x > a/near; echo x > plot.png'
  const { files, filesTruncated } = await agent.exec('bash', code)
  expect(files?.slice(0, 2).map(({ path }) => path)).toEqual(['/workspace/plot.png', '/workspace/a/near'])
  expect(filesTruncated).toBe(true)
})

test('lists images first, then files near the top', async () => {
  const code =
    'mkdir -p a/b z; for n in {1..150}; do > a/b/$n.txt; done; > z/plot.svg; > a/b/photo.jpg; > z/near.txt; > top.py'
  const { files, filesTruncated } = await agent.exec('bash', code)
  expect(files?.slice(0, 5).map(({ path }) => path.replace('/workspace/', ''))).toEqual([
    'z/plot.svg',
    'a/b/photo.jpg',
    'top.py',
    'z/near.txt',
    'a/b/1.txt',
  ])
  expect([files?.length, filesTruncated]).toEqual([100, true])
})

test.each(['node_modules', '.git', '.venv', 'web/node_modules', 'lib/python3/site-packages', 'own-environment/lib'])(
  'omits files in %s and sets the flag; reports the files beside them',
  async (folder) => {
    const many = `mkdir -p ${folder}/x; for n in {1..150}; do > ${folder}/x/$n.js; > ${folder}/$n.png; done; true`
    const environment = '[[ -d own-environment ]] && > own-environment/pyvenv.cfg; true'
    await agent.exec('bash', `mkdir -p ${folder}; ${environment}`)
    const result = await agent.exec('bash', `${many}; > plot.png; > package.json`)
    expect(result.files?.map(({ path }) => path)).toEqual(['/workspace/plot.png', '/workspace/package.json'])
    expect(result.filesTruncated).toBe(true)
    const alone = await agent.exec('bash', `> ${folder}/x/again`)
    expect([alone.files, alone.filesTruncated]).toEqual([undefined, true])
    expect((await agent.exec('bash', 'true')).filesTruncated).toBeUndefined()
    const { text } = await runCode.run({ language: 'bash', code: `> ${folder}/more` }, { sandbox: agent })
    expect(text).toBe('[files were made or changed that are not listed here]')
  },
)

test('does not report files outside of /workspace', async () => {
  expect(await filesOf('echo > /tmp/x; echo > ~/x; echo > /dev/shm/x; cd /tmp; echo > y')).toBeUndefined()
  expect(await pathsOf('cd /tmp; echo > /workspace/inside')).toEqual(['inside'])
})

test('reports files of code that fails or is killed', async () => {
  expect(await agent.exec('bash', 'echo > made; kill -KILL $$')).toMatchObject({
    exitCode: 137,
    files: [{ path: '/workspace/made' }],
  })
  expect(await agent.exec('python', 'open("made2", "w").write("x"); 1/0')).toMatchObject({
    exitCode: 1,
    files: [{ path: '/workspace/made2' }],
  })
})

test('does not report files that a detached process makes after its exec', async () => {
  const code =
    'setsid bash -c "> /tmp/away; until [[ -e go ]]; do sleep 0.01; done; echo > late; echo > done" > /dev/null 2>&1 & until [[ -e /tmp/away ]]; do sleep 0.01; done; echo > now'
  expect(await pathsOf(code)).toEqual(['now'])
  expect(await pathsOf('echo > go; until [[ -e done ]]; do sleep 0.01; done')).toEqual(['done', 'go', 'late'])
})

test('never reports a file of the previous exec again, however soon the next exec follows', async () => {
  for (let n = 0; n < 50; n += 1) {
    expect(await pathsOf(`> first-${n}`)).toEqual([`first-${n}`])
    expect(await pathsOf(':')).toEqual([])
  }
})

test('reports files again after code has restored the permissions of /workspace', async () => {
  await agent.exec('bash', 'echo x > before; chmod 000 /workspace')
  expect(await pathsOf('echo y > after')).toEqual(['after'])
})

const png = `
import struct, zlib
def chunk(kind, data): return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
rows = b''.join(b'\\0' + b'\\xff\\0\\0' * 4 for _ in range(4))
picture = b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 4, 4, 8, 2, 0, 0, 0)) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
open('plot.png', 'wb').write(picture)
open('fake.png', 'wb').write(b'no picture')`

test('run_code returns an image that code saved, unchanged, and no other file as an image', async () => {
  const result = await runCode.run({ language: 'python', code: png }, { sandbox: agent })
  if (result.isError) expect.fail(result.text)
  const { data, images } = result
  expect(data.files?.map(({ path }) => path)).toEqual(['/workspace/fake.png', '/workspace/plot.png'])
  expect(images).toHaveLength(1)
  expect(images[0]).toMatchObject({ path: '/workspace/plot.png', mediaType: 'image/png' })
  expect(Buffer.from(images[0]?.base64 ?? '', 'base64')).toEqual(Buffer.from(await agent.files.read('plot.png')))
})

const hasMatplotlib = spawnSync('/usr/bin/python3', ['-c', 'import matplotlib']).status === 0
test.skipIf(!hasMatplotlib)('run_code returns a plot of matplotlib', async () => {
  const code =
    "import matplotlib; matplotlib.use('Agg')\nimport matplotlib.pyplot as plt\nplt.plot([1, 2, 4]); plt.savefig('plot.png')"
  const result = await runCode.run({ language: 'python', code }, { sandbox: agent })
  if (result.isError) expect.fail(result.text)
  expect(result.images.map(({ path }) => path)).toEqual(['/workspace/plot.png'])
})
