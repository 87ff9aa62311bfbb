import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Session } from './session.js';
import './style.css';

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <Session />
  </StrictMode>,
);
