/**
 * What code sees of the host's /etc, /sys and /var: the settings of what is installed in /usr, as programs there expect
 * them, and links in /usr lead to them.
 *
 * A name is on these lists if every machine with the same packages has the same there. What an operator writes for this
 * machine is not: accounts, keys, names and addresses of hosts, proxies, registries, credentials.
 *
 * @module
 */
import { existsSync, readdirSync } from 'node:fs'

/** Below /etc, by what they are for. */
const names = {
  loader: [
    'alternatives',
    'ld.so.cache',
    'ld.so.conf',
    'ld.so.conf.d',
    'localtime',
    'timezone',
    'locale.alias',
    'terminfo',
  ],
  system: ['os-release', 'debian_version', 'lsb-release', 'redhat-release', 'system-release', 'fedora-release'],
  formats: ['services', 'protocols', 'rpc', 'ethertypes', 'mime.types', 'magic', 'magic.mime', 'papersize', 'inputrc'],
  // Of public authorities, and the settings of libraries that use them.
  certificates: [
    'ssl/certs',
    'ssl/cert.pem',
    'ssl/openssl.cnf',
    'crypto-policies',
    'pki/ca-trust/extracted',
    'pki/java',
  ],
  certificatesOfFedora: ['pki/tls/certs', 'pki/tls/cert.pem', 'pki/tls/openssl.cnf'],
  programs: [
    'fonts',
    'perl',
    'groff',
    'X11/rgb.txt',
    'xml',
    'sgml',
    'texmf',
    'ghostscript',
    'OpenCL',
    'vulkan',
    'glvnd',
  ],
  // Without Maven's `settings.xml` and R's `Renviron.site`, which hold passwords.
  maven: ['maven/m2.conf', 'maven/logging', 'maven/toolchains.xml'],
  r: ['R/ldpaths', 'R/Makeconf', 'R/Renviron', 'R/repositories'],
}

/** Below /etc, with a version in the name. */
const versioned = /^(java|java-\d[\w.-]*|python3(\.\d+)?|ImageMagick-\d+|lua(\d[\d.]*)?|php\d?)$/

/** Certificates that a package makes for this machine, with its name in them. */
const ofThisMachine: readonly string[] = ['/etc/ssl/certs/ssl-cert-snakeoil.pem']

const elsewhere: readonly string[] = [
  '/sys/devices/system/cpu',
  '/sys/devices/system/node',
  '/var/cache/fontconfig',
  '/var/lib/texmf',
  '/var/lib/ghostscript',
  '/var/lib/sgml-base',
  '/var/lib/xml-core',
]

/**
 * Bubblewrap's options for them. What the host does not have is left out.
 *
 * @param emptyFile stands in for what is in a folder of these and may not be seen.
 */
export function systemFiles(emptyFile: string): string[] {
  const found = readdirSync('/etc').filter((name) => versioned.test(name))
  const inEtc = [...Object.values(names).flat(), ...found].map((name) => `/etc/${name}`)
  return [
    // Code may go through these two, but not look around in them.
    ['/sys', '/var'].flatMap((path) => ['--perms', '0111', '--dir', path]),
    [...inEtc, ...elsewhere].flatMap((path) => ['--ro-bind-try', path, path]),
    ofThisMachine.flatMap((path) => (existsSync(path) ? ['--ro-bind', emptyFile, path] : [])),
    ['--symlink', '/tmp', '/var/tmp'],
  ].flat()
}
