import { compileWildcard, isExact, overlaps } from '@tombolo/topology/pattern';
import { topicOf } from '../mapping/destinations.ts';

/** The topics of ActiveMQ's own, which tell of what happens in it. */
export const advisoryPrefix = 'ActiveMQ.Advisory.';

/**
 * What has to be subscribed to, in ActiveMQ's wildcards, so that everything comes that these binding keys of `amq.topic` take. No two of
 * the topics have a name in common, since a broker gives a message to each subscription that takes it: keys that overlap
 * without one including the other are covered by a wider topic, and what comes beyond the keys has to be sorted out. Sorted.
 */
export function topicCover(bindingKeys: Iterable<string>): string[] {
  const topics = [...new Set([...bindingKeys].filter(isTopic).map((key) => topicOf(key).topic))].sort();
  let wide: string[] = [];
  for (const topic of topics.filter((each) => !isExact(each))) {
    let widest = topic;
    for (;;) {
      const other = wide.find((each) => overlaps(each, widest));
      if (other === undefined) break;
      wide = wide.filter((each) => each !== other);
      widest = common(other, widest);
    }
    wide.push(widest);
  }
  const matchers = wide.map(compileWildcard);
  const exact = topics.filter((each) => isExact(each) && !matchers.some((matches) => matches(each)));
  return [...wide, ...exact].sort();
}

/** False: no topic of ActiveMQ that applications use can have such a name, so that nothing would come. */
function isTopic(key: string): boolean {
  if (key === '' || key.startsWith(advisoryPrefix) || key.startsWith('tombolo.')) return false;
  return !/[,?>]|^[\0- ]|[\0- ]$/.test(key);
}

/** The narrowest topic that means all that both mean. */
function common(one: string, other: string): string {
  const [a, b] = [one.split('.'), other.split('.')];
  const words: string[] = [];
  for (let at = 0; at < Math.min(a.length, b.length) && a[at] !== '>' && b[at] !== '>'; at++) {
    words.push(a[at] === b[at] ? (a[at] as string) : '*');
  }
  const closed = words.length === a.length && words.length === b.length;
  return [...words, ...(closed ? [] : ['>'])].join('.');
}
