import { testFamily } from '../support.ts';

testFamily('paged-attention', { sparing: true });
