/** A string as one word of a shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/**
 * Starts the command in a session of its own, so that it outlives this exec, and prints its process id.
 *
 * Its output goes to files, and its exit code too: the exec that follows them may end before the command does. With stdin
 * it reads from a pipe that `sleep` keeps open until stdin is closed.
 */
export function startScript(folder: string, command: string, hasStdin: boolean): string {
  const input = hasStdin ? '"$1/in"' : '/dev/null'
  const hold = hasStdin ? 'sleep infinity > "$1/in" & holder=$!; echo $holder > "$1/holder"; ' : ''
  const release = hasStdin ? 'kill $holder 2>/dev/null; ' : ''
  const body = `${hold}bash "$1/command" < ${input} > "$1/out" 2> "$1/err"; code=$?; ${release}echo $code > "$1/exit"`
  return [
    `mkdir -m 700 ${folder} || exit`,
    `printf %s ${quoted(command)} > ${folder}/command`,
    `touch ${folder}/out ${folder}/err`,
    hasStdin ? `mkfifo ${folder}/in` : '',
    `setsid bash -c ${quoted(body)} spawn ${folder} > /dev/null 2>&1 < /dev/null &`,
    'echo $!',
  ].join('\n')
}

/** Kills the command and every process that it has started in its process group. */
export function killScript(pid: number): string {
  return `kill -KILL -- -${pid} 2>/dev/null; true`
}

/** Writes standard input of this exec to the command's, and waits until it is read. */
export function writeScript(folder: string): string {
  return `cat > ${folder}/in`
}

/** Closes the command's standard input. */
export function closeScript(folder: string): string {
  return `until [[ -s ${folder}/holder || -e ${folder}/exit || ! -d ${folder} ]]; do sleep 0.01; done; kill $(cat ${folder}/holder) 2>/dev/null; true`
}

/**
 * Python that prints the new output of the command as lines of JSON, and at its end the exit code. Base64, because the
 * output of an exec is text and would not keep every byte. It ends early, so that no limit of an exec is reached.
 */
export function followScript(folder: string, pid: number, at: { out: number; err: number }): string {
  return `
import base64, json, os, shutil, time
folder, pid, left, until = ${JSON.stringify(folder)}, ${pid}, 5_000_000, time.monotonic() + 90
def is_over():
    if os.path.exists(folder + '/exit'): return True
    try:
        with open(f'/proc/{pid}/stat', 'rb') as stat: return stat.read().rsplit(b')', 1)[1].split()[0] == b'Z'
    except OSError: return True
def say(**message): print(json.dumps(message), flush=True)
files = {}
for name, start in (('out', ${at.out}), ('err', ${at.err})):
    files[name] = open(f'{folder}/{name}', 'rb')
    files[name].seek(start)
while True:
    over, idle = is_over(), True
    for name, file in files.items():
        data = file.read(65536)
        if not data: continue
        idle = False
        left -= len(data)
        say(**{name: base64.b64encode(data).decode()})
    if idle and over:
        try: code = int(open(folder + '/exit').read())
        except (OSError, ValueError): code = 137
        say(exit=code)
        shutil.rmtree(folder, ignore_errors=True)
        break
    if left <= 0 or time.monotonic() > until: break
    if idle: time.sleep(0.02)
`
}
