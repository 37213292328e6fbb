"""Assembly as LLVM prints it, and what llvm-mca says, for tests of tools/modelled."""

from __future__ import annotations

UNROLLED_X86 = r"""
    .section .ltext,"axl",@progbits
    .p2align 4
codes:
    pushq %rbx
    movq 168(%rsp), %rax
    leaq 63(%rax), %r9
    shrq $6, %r9
    testq %rax, %rax
    setle %cl
    testq %r9, %r9
    sete %dl
    orb %cl, %dl
    jne .LBB0_5
    movq 184(%rsp), %rcx
    movq 128(%rsp), %rdx
    movq 72(%rsp), %r8
    movq 16(%rsp), %rsi
    addq $-64, %rax
    vmovdqu64 1152(%r8), %zmm0
    leaq -1(%r9), %r10
    movl %r9d, %r8d
    andl $3, %r8d
    cmpq $3, %r10
    jae .LBB0_6
    xorl %r10d, %r10d
    jmp .LBB0_4
.LBB0_6:
    andq $-4, %r9
    negq %r9
    xorl %r10d, %r10d
    .p2align 4
.LBB0_7:
    cmpq %r10, %rax
    movq %r10, %r11
    cmovlq %rax, %r11
    leaq 64(%r10), %rbx
    vmovdqu64 (%rsi,%r11), %zmm1
    vpermb %zmm0, %zmm1, %zmm1
    vporq (%rdx,%r11), %zmm1, %zmm1
    cmpq %rbx, %rax
    cmovlq %rax, %rbx
    vmovdqu64 %zmm1, (%rcx,%r11)
    vmovdqu64 (%rsi,%rbx), %zmm1
    vpermb %zmm0, %zmm1, %zmm1
    vporq (%rdx,%rbx), %zmm1, %zmm1
    leaq 128(%r10), %r11
    vmovdqu64 %zmm1, (%rcx,%rbx)
    cmpq %r11, %rax
    cmovlq %rax, %r11
    vmovdqu64 (%rsi,%r11), %zmm1
    vpermb %zmm0, %zmm1, %zmm1
    vporq (%rdx,%r11), %zmm1, %zmm1
    vmovdqu64 %zmm1, (%rcx,%r11)
    leaq 192(%r10), %r11
    cmpq %r11, %rax
    cmovlq %rax, %r11
    vmovdqu64 (%rsi,%r11), %zmm1
    vpermb %zmm0, %zmm1, %zmm1
    vporq (%rdx,%r11), %zmm1, %zmm1
    vmovdqu64 %zmm1, (%rcx,%r11)
    addq $256, %r10
    addq $4, %r9
    jne .LBB0_7
    testq %r8, %r8
    je .LBB0_5
    .p2align 4
.LBB0_4:
    cmpq %r10, %rax
    movq %r10, %r9
    cmovlq %rax, %r9
    addq $64, %r10
    vmovdqu64 (%rsi,%r9), %zmm1
    vpermb %zmm0, %zmm1, %zmm1
    vporq (%rdx,%r9), %zmm1, %zmm1
    vmovdqu64 %zmm1, (%rcx,%r9)
    decq %r8
    jne .LBB0_4
.LBB0_5:
    movq $0, (%rdi)
    xorl %eax, %eax
    popq %rbx
    vzeroupper
    retq
.Lfunc_end0:
"""
"""The loop `codes` of tools/modelled_loops.py, for AVX-512."""

WITH_SPILLS_ARM = """
f:
    sub sp, sp, #96
    cbz x2, .LBB0_2
.LBB0_1:                                // =>This Inner Loop Header: Depth=1
    ldp q0, q1, [x1], #32
    add x9, sp, #32
    str q0, [sp, #16]                   // 16-byte Folded Spill
    st1 { v0.2d, v1.2d }, [x9]
    subs x2, x2, #32
    mov x9, x0
    stp q0, q1, [x9, #16]
    b.gt .LBB0_1
.LBB0_2:
    add sp, sp, #96
    ret
"""
"""A loop that copies 32 bytes a turn and keeps some on the stack."""

TWO_WAYS = """
f:
    mov x8, xzr
.LBB0_1:
    ldr q0, [x1, x8]
    str q0, [x0, x8]
    cbnz w2, .LBB0_3
.LBB0_2:
    add x8, x8, #16
    cmp x8, x3
    b.ne .LBB0_1
    ret
.LBB0_3:
    scvtf v0.4s, v0.4s
    str q0, [x4, x8]
    b .LBB0_2
"""
"""A loop with a branch to what lies behind it and comes back."""

LISTING = """
{
  "CodeRegions": [
    {
      "Instructions": ["vpshufb %ymm0, %ymm1, %ymm2", "jne .L1"],
      "Name": "",
      "ResourcePressureView": {
        "ResourcePressureInfo": [
          {"InstructionIndex": 0, "ResourceIndex": 1, "ResourceUsage": 9.5},
          {"InstructionIndex": 1, "ResourceIndex": 0, "ResourceUsage": 11.0},
          {"InstructionIndex": 2, "ResourceIndex": 0, "ResourceUsage": 1.0},
          {"InstructionIndex": 2, "ResourceIndex": 1, "ResourceUsage": 9.5}
        ]
      },
      "SummaryView": {"DispatchWidth": 4, "Iterations": 300, "TotalCycles": 3000, "TotaluOps": 3600}
    }
  ],
  "TargetInfo": {"CPUName": "haswell", "Resources": ["HWPort0", "HWPort5"]}
}
"""
"""What llvm-mca -json prints, as far as it is read. The figures are made up."""
