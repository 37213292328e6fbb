"""Keys looked up in a table of 128 entries, as this process' back end spells it: by planes of bytes, or by words.

A back end has `words_64`, 64 words as it compares them; `matched`, 64 words beside the entries that they choose;
`any_different` and `different_64`, whether and which of them differ; and `put_tops`, entries with other top bytes.
`simd_planes` says what each does.
"""

from __future__ import annotations

from fastsmc.jit.level import AVX512, BACK_END

if BACK_END == AVX512:
    from fastsmc.jit.simd_words import any_different, different_64, matched, put_tops, words_64
else:
    from fastsmc.jit.simd_planes import any_different, different_64, matched, put_tops, words_64

__all__ = ["any_different", "different_64", "matched", "put_tops", "words_64"]
