import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate with its key, as PEM text and as files. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface IssueOptions {
  /** Days from now; default: a day ago. */
  readonly from?: number;
  /** Days from now; default: in two days. */
  readonly until?: number;
  /** Default: serverAuth and clientAuth. */
  readonly usage?: string;
}

/** A certificate authority of the test's own, made with the openssl command; its files go with `close`. */
export class TestAuthority {
  /** Its own certificate. */
  readonly ca: string;
  readonly caFile: string;
  readonly directory: string;
  #serial = 0;

  constructor(name = 'Test authority') {
    this.directory = mkdtempSync(join(tmpdir(), 'tombolo-ca-'));
    const { directory } = this;
    writeFileSync(join(directory, 'index.txt'), '');
    writeFileSync(join(directory, 'ca.cnf'), configuration);
    writeKey(join(directory, 'ca-key.pem'));
    this.caFile = join(directory, 'ca.pem');
    const extensions = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
    this.#openssl(
      'req',
      '-x509',
      '-key',
      'ca-key.pem',
      '-days',
      '30',
      '-subj',
      `/CN=${name}`,
      ...extensions,
      '-out',
      'ca.pem',
    );
    this.ca = readFileSync(this.caFile, 'utf8');
  }

  /** @param names SANs as openssl writes them, e.g. `DNS:east`, `IP:127.0.0.1`, `URI:spiffe://acme/east` */
  issue(names: readonly string[], options: IssueOptions = {}): Issued {
    const { from = -1, until = 2, usage = 'serverAuth,clientAuth' } = options;
    const name = `issued-${++this.#serial}`;
    const file = (end: string) => join(this.directory, `${name}${end}`);
    const key = writeKey(file('-key.pem'));
    writeFileSync(file('.ext'), `subjectAltName=${names.join(',')}\nextendedKeyUsage=${usage}\n`);
    this.#openssl(
      'req',
      '-new',
      '-key',
      file('-key.pem'),
      '-subj',
      `/CN=${name}`,
      '-config',
      'ca.cnf',
      '-out',
      file('.csr'),
    );
    const dates = ['-startdate', dateOf(from), '-enddate', dateOf(until)];
    const files = ['-in', file('.csr'), '-out', file('.pem'), '-extfile', file('.ext')];
    this.#openssl('ca', '-batch', '-notext', '-config', 'ca.cnf', ...dates, ...files);
    return { cert: readFileSync(file('.pem'), 'utf8'), key, certFile: file('.pem'), keyFile: file('-key.pem') };
  }

  close(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { cwd: this.directory, stdio: 'pipe' });
  }
}

function writeKey(path: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  writeFileSync(path, pem, { mode: 0o600 });
  return pem;
}

/** YYYYMMDDHHMMSSZ. */
function dateOf(days: number): string {
  const iso = new Date(Date.now() + days * 86_400_000).toISOString();
  return `${iso.slice(0, 19).replace(/\D/g, '')}Z`;
}

const configuration = `
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca-key.pem
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
`;
