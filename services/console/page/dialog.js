import { element, say } from './elements.js';

/** The one dialog of the page: asks, or shows. */
export class Dialog {
  #dialog = document.getElementById('dialog');
  #body = document.getElementById('dialog-body');
  #buttons = document.getElementById('dialog-buttons');

  /** Resolves with true when the operator agrees. `consequence`: what will be, as sentences. */
  async ask(title, consequence, verb) {
    this.#open(
      title,
      [element('p', {}, consequence)],
      [
        element('button', { value: 'no', autofocus: true }, 'Cancel'),
        element('button', { value: 'yes', class: 'act' }, verb),
      ],
    );
    await new Promise((resolve) => this.#dialog.addEventListener('close', resolve, { once: true }));
    return this.#dialog.returnValue === 'yes';
  }

  /** Shows nodes until it is closed; called again, it shows others. */
  show(title, ...nodes) {
    this.#open(title, nodes, [element('button', { value: 'no', autofocus: true }, 'Close')]);
  }

  #open(title, nodes, buttons) {
    say(document.getElementById('dialog-title'), title);
    this.#body.replaceChildren(...nodes);
    this.#buttons.replaceChildren(...buttons);
    this.#dialog.returnValue = 'no';
    if (!this.#dialog.open) this.#dialog.showModal();
  }
}
