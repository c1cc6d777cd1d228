// traffic.mjs produce|consume URI QUEUE [PER SECOND]: an ordinary AMQP client that knows nothing of Tombolo. It sends to a queue, or
// takes from it, at most so many messages a second (10), and says every few seconds how many there were.
import amqp from 'amqplib';

const [role, uri, queue, perSecond = '10'] = process.argv.slice(2);
const connection = await amqp.connect(uri);
connection.on('close', () => process.exit(1)); // whoever started this starts it again
const channel = await connection.createConfirmChannel();
let count = 0;

if (role === 'produce') {
  setInterval(async () => {
    const content = Buffer.from(`order ${count}`);
    await new Promise((resolve) => {
      channel.sendToQueue(queue, content, { persistent: true, messageId: `order-${process.pid}-${count}` }, resolve);
    });
    count += 1;
  }, 1000 / Number(perSecond));
} else if (role === 'consume') {
  await channel.prefetch(10);
  await channel.consume(queue, (message) => {
    if (!message) return process.exit(1);
    setTimeout(() => channel.ack(message), 10_000 / Number(perSecond));
    count += 1;
  });
} else {
  console.error(`traffic.mjs: "${role}" is neither produce nor consume.`);
  process.exit(2);
}
setInterval(() => console.log(`${role} ${queue}: ${count} messages`), 5_000);
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
