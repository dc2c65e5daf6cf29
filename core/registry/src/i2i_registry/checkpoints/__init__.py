"""The formats that checkpoints come in, parsed here and nowhere else: nothing is executed, and every size is checked.

| module | what it reads |
| --- | --- |
| `limits` | what bounds the reading of a file, and the error for a file that is damaged or goes beyond it |
| `zips`, `tars` | the two archives that torch has used: their members, as bytes |
| `pickles` | the opcodes of a pickle |
| `meanings` | what the names in a pickle stand for |
| `storages` | the memory of tensors, and tensors on it |
| `torch_files` | which of these a file is, and how torch puts them together |
| `tensor_lists` | safetensors |

`i2i_registry.checkpoints.reader` puts a checkpoint together from what they give.
"""
