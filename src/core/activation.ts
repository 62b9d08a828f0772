/** The nonlinearity of an expert; `gelu` in its tanh form, `swiglu_oai` the clamped SwiGLU of gpt-oss. */
export type Activation = 'silu' | 'gelu' | 'relu' | 'identity' | 'swiglu_oai';
