import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // A port of its own, so that the address is the same each time.
  server: { port: 5173, strictPort: true },
});
