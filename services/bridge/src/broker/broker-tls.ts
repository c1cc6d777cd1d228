/** What is needed to trust a broker, and to be known to it, under TLS: options of `tls.connect`. */
export interface BrokerTls {
  readonly ca?: Buffer | string;
  readonly cert?: Buffer | string;
  readonly key?: Buffer | string;
  /** The name that the broker's certificate must show; default: the host that is dialled. */
  readonly servername?: string;
}

/** Asked for each connection: files may have been replaced. The same object as long as nothing has changed. */
export type BrokerTlsSource = () => BrokerTls;
