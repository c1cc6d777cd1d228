import { Refused } from './api.js';
import { element } from './elements.js';
import { counted } from './model.js';

/**
 * What an operator may do from the page, once it is unlocked: each is explained and asked for first, and what the bridge says of it
 * is shown. Whether it is permitted is the bridge's to say.
 */
export class Operations {
  #api;
  #dialog;
  #done;
  #unlocked = false;

  /** @param done called after every operation, so that the page shows what has become of it */
  constructor(api, dialog, done) {
    this.#api = api;
    this.#dialog = dialog;
    this.#done = done;
    document.getElementById('unlock').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#set(!this.#unlocked);
    });
  }

  get unlocked() {
    return this.#unlocked;
  }

  /** A button for an operation: it can be pressed only when operations are unlocked. */
  button(text, act) {
    return element(
      'button',
      { type: 'button', class: 'operation', disabled: !this.#unlocked, title: this.#hint(), onclick: act },
      text,
    );
  }

  async pause(connector) {
    const consequence = `No more messages are taken for ${connector}; what is in flight is settled. It lasts until it is resumed or the bridge restarts. paused: true in the file lasts longer.`;
    if (await this.#dialog.ask(`Pause ${connector}?`, consequence, 'Pause')) {
      await this.#act(`connectors/${encodeURIComponent(connector)}/pause`, undefined, () => `${connector} is paused.`);
    }
  }

  async resume(connector) {
    const consequence = `Messages are taken for ${connector} again, as far as consumers want them.`;
    if (await this.#dialog.ask(`Resume ${connector}?`, consequence, 'Resume')) {
      await this.#act(
        `connectors/${encodeURIComponent(connector)}/resume`,
        undefined,
        () => `${connector} is resumed.`,
      );
    }
  }

  async drain(cluster) {
    const consequence = `Nothing is brought to ${cluster} any more, whatever restarts, until that is undone. What waits there leaves as consumers elsewhere want it.`;
    if (await this.#dialog.ask(`Drain ${cluster}?`, consequence, 'Drain')) {
      await this.#act('drain', { scope: 'cluster' }, ({ left }) =>
        left.length === 0
          ? `${cluster} is drained.`
          : `${cluster} is drained; not settled in time and given back: ${leftText(left)}.`,
      );
    }
  }

  async undrain(cluster, scope) {
    const consequence =
      scope === 'cluster'
        ? `${cluster} takes messages from elsewhere again.`
        : 'This bridge stands for election again.';
    if (await this.#dialog.ask('Undo the drain?', consequence, 'Undo')) {
      await this.#act('resume', { scope }, () => 'It is not drained any more.');
    }
  }

  async replay(selection, what) {
    const consequence = `Gives ${what} back to the queue that they were taken from. A message whose reason still holds is parked again.`;
    if (await this.#dialog.ask('Replay dead letters?', consequence, 'Replay')) {
      await this.#act('dead-letters/replay', selection, ({ replayed, kept }) =>
        [
          `Replayed ${counted(replayed, 'message')}.`,
          ...kept.map(({ messages, why }) => `${counted(messages, 'message')} stay parked: ${why}`),
        ].join(' '),
      );
    }
  }

  async drop(selection, what) {
    const consequence = `Deletes ${what} for good. There is no way back.`;
    if (await this.#dialog.ask('Drop dead letters?', consequence, 'Drop for good')) {
      await this.#act('dead-letters/drop', selection, ({ dropped }) => `Dropped ${counted(dropped, 'message')}.`);
    }
  }

  async #act(path, body, said) {
    try {
      const answer = await this.#api.post(`api/v1/${path}`, body);
      this.#dialog.show('Done', element('p', {}, said(answer)));
    } catch (thrown) {
      if (thrown instanceof Refused && thrown.error === 'unauthorized') this.#set(false);
      const advice =
        thrown instanceof Refused ? '' : ' The bridge may have done it all the same: look before you try again.';
      this.#dialog.show('Not done', element('p', {}, `${thrown.message}${advice}`));
    }
    this.#done();
  }

  #set(unlocked) {
    const input = document.getElementById('token');
    this.#unlocked = unlocked;
    this.#api.token = unlocked ? input.value : '';
    input.value = '';
    input.disabled = unlocked;
    input.placeholder = unlocked ? 'kept until the page is closed' : 'only for operations';
    document.getElementById('unlock-button').textContent = unlocked ? 'Lock operations' : 'Unlock operations';
    for (const button of document.querySelectorAll('button.operation')) {
      button.disabled = !unlocked;
      button.title = this.#hint();
    }
  }

  #hint() {
    return this.#unlocked ? '' : 'Unlock operations above first. A bridge without bridge.adminToken needs no token.';
  }
}

function leftText(left) {
  return left
    .map(({ destination, peer, messages }) => `${counted(messages, 'message')} of ${destination} with ${peer}`)
    .join(', ');
}
