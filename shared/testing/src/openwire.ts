import { connect } from 'node:net';

/** OpenWire version 12, loose encoding: type of a command or object, then its fields (openwire specification; BaseDataStreamMarshaller). */
const type = {
  wireFormat: 1,
  connection: 3,
  destination: 8,
  connectionId: 120,
  queue: 100,
  response: 30,
  exception: 31,
};

/** Deletes a queue as a console does: with its messages, also when it has consumers. STOMP has no word for that. */
export async function deleteQueue(openwirePort: number, queue: string): Promise<void> {
  const socket = connect(openwirePort, '127.0.0.1');
  const connectionId = `ID:tombolo-test-${process.pid}-${Date.now()}-${Math.random()}`;
  await new Promise<void>((resolve, reject) => {
    let rest = Buffer.alloc(0);
    let answers = 0;
    const take = (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 4 + rest.readUInt32BE(0)) {
        const command = rest.subarray(4, 4 + rest.readUInt32BE(0));
        rest = rest.subarray(4 + command.length);
        if (command[0] === type.exception) return reject(new Error(command.toString('latin1')));
        if (command[0] === type.response && ++answers === 2) return resolve();
      }
    };
    socket.on('data', take);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the broker closed the connection')));
    socket.write(
      Buffer.concat([
        // Its own magic; version 12; properties: none, so that neither tight encoding nor a cache is wanted.
        sized(Buffer.of(type.wireFormat), Buffer.from('ActiveMQ'), int(12), Buffer.of(0)),
        // connectionId, clientId, password, userName, brokerPath, brokerMasterConnector, manageable, clientMaster, faultTolerant,
        // failoverReconnect, clientIp
        command(type.connection, 1, id(connectionId), text(connectionId), Buffer.alloc(9)),
        // connectionId, destination, operationType 1: remove, timeout: with one, consumers are no hindrance; brokerPath
        command(
          type.destination,
          2,
          id(connectionId),
          Buffer.of(1, type.queue),
          text(queue),
          Buffer.of(1),
          Buffer.from([0, 0, 0, 0, 0, 0, 3, 0xe8]),
          Buffer.of(0),
        ),
      ]),
    );
  }).finally(() => socket.destroy());
}

function command(kind: number, number: number, ...fields: Buffer[]): Buffer {
  // commandId, responseRequired
  return sized(Buffer.of(kind), int(number), Buffer.of(1), ...fields);
}

function sized(...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([int(body.length), body]);
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Present, length, bytes. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.of(1, bytes.length >> 8, bytes.length & 0xff), bytes]);
}

/** Present, type, value. */
function id(value: string): Buffer {
  return Buffer.concat([Buffer.of(1, type.connectionId), text(value)]);
}
