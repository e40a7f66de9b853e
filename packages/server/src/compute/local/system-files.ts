/**
 * The files of the host's /etc, /sys and /var that code sees: the settings of the programs in /usr, which these programs
 * expect and to which links in /usr point.
 *
 * A path is on these lists if its content is the same on every machine with the same packages. Files that an operator writes
 * for this machine are not listed: accounts, keys, names and addresses of hosts, proxies, registries, credentials.
 *
 * @module
 */
import { existsSync, readdirSync } from 'node:fs'

/** Below /etc, by purpose. */
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
  // Certificates of public authorities, and the settings of libraries that use them.
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
  // Without Maven's `settings.xml` and R's `Renviron.site`, which contain passwords.
  maven: ['maven/m2.conf', 'maven/logging', 'maven/toolchains.xml'],
  r: ['R/ldpaths', 'R/Makeconf', 'R/Renviron', 'R/repositories'],
}

/** Below /etc, with a version in the name. */
const versioned = /^(java|java-\d[\w.-]*|python3(\.\d+)?|ImageMagick-\d+|lua(\d[\d.]*)?|php\d?)$/

/** Certificates that a package creates for this machine; they contain its name. */
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
 * Bubblewrap's options for these files. Files that the host does not have are omitted.
 *
 * @param emptyFile replaces a file in these folders that must not be visible.
 */
export function systemFiles(emptyFile: string): string[] {
  const found = readdirSync('/etc').filter((name) => versioned.test(name))
  const inEtc = [...Object.values(names).flat(), ...found].map((name) => `/etc/${name}`)
  return [
    // Code may traverse these two folders, but not list them.
    ['/sys', '/var'].flatMap((path) => ['--perms', '0111', '--dir', path]),
    [...inEtc, ...elsewhere].flatMap((path) => ['--ro-bind-try', path, path]),
    ofThisMachine.flatMap((path) => (existsSync(path) ? ['--ro-bind', emptyFile, path] : [])),
    ['--symlink', '/tmp', '/var/tmp'],
  ].flat()
}
