import { testFamily } from '../support.ts';

testFamily('attention', { sparing: true });
