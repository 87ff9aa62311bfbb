import { render } from 'preact';
import './console.css';

render(<main>Console</main>, document.querySelector('#console') as HTMLElement);
