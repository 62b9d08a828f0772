import { testFamily } from '../support.ts';

testFamily('matmul', { sparing: true });
