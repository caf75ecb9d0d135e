using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Kvm.Interop;

/// <summary>The kvm_run page a vCPU shares with the kernel, and KVM_RUN itself (api.rst §5).</summary>
public sealed unsafe class KvmRun : IDisposable
{
    internal const nuint KvmRunCode = 0xAE80;
    internal const int ImmediateExitOffset = 1, ExitReasonOffset = 8, UnionOffset = 32;

    private readonly VcpuFd _vcpu;
    private readonly SafeMapping _mapping;

    /// <summary>Maps the page of a vCPU.</summary>
    /// <param name="vcpu">The vCPU; it must outlive this object.</param>
    /// <param name="size">What KVM_GET_VCPU_MMAP_SIZE answered, bytes.</param>
    public KvmRun(VcpuFd vcpu, int size)
    {
        _vcpu = vcpu;
        _mapping = SafeMapping.Map(vcpu, (nuint)size, Libc.MAP_SHARED);
    }

    /// <summary>Why the last <see cref="Enter"/> returned 0.</summary>
    public KvmExit ExitReason => (KvmExit)At<uint>(ExitReasonOffset);

    /// <summary>The port access to complete (<see cref="KvmExit.Io"/>).</summary>
    public ref KvmRunIo Io => ref At<KvmRunIo>(UnionOffset);

    /// <summary>The memory access to complete (<see cref="KvmExit.Mmio"/>).</summary>
    public ref KvmRunMmio Mmio => ref At<KvmRunMmio>(UnionOffset);

    /// <summary>
    /// hw.hardware_exit_reason, fail_entry reason, internal.suberror or system_event.type: first word of the exit data.
    /// </summary>
    public ulong ExitDetail => At<ulong>(UnionOffset);

    /// <summary>The bytes of a port access: <see cref="KvmRunIo.Size"/> times <see cref="KvmRunIo.Count"/>.</summary>
    /// <exception cref="InvalidOperationException">The kernel pointed outside the page.</exception>
    public Span<byte> IoData()
    {
        ref KvmRunIo io = ref Io;
        ulong length = (ulong)io.Size * io.Count;
        if (io.DataOffset > _mapping.Length || length > _mapping.Length - io.DataOffset)
            throw new InvalidOperationException("kvm_run.io data lie outside the kvm_run page");
        // SAFETY: checked against the mapping just above; the mapping lives as long as this object.
        return new Span<byte>((byte*)_mapping.Address + io.DataOffset, (int)length);
    }

    /// <summary>
    /// While set, KVM_RUN completes a pending access and returns EINTR without entering the guest. Any thread may set
    /// it.
    /// </summary>
    public bool ImmediateExit
    {
        get => Volatile.Read(ref At<byte>(ImmediateExitOffset)) != 0;
        set => Volatile.Write(ref At<byte>(ImmediateExitOffset), value ? (byte)1 : (byte)0);
    }

    /// <summary>KVM_RUN. Only on the vCPU's own thread.</summary>
    /// <returns>0 after an exit (see <see cref="ExitReason"/>), else the errno: EINTR and EAGAIN are normal.</returns>
    public int Enter() => Libc.ioctl(_vcpu.Fd, KvmRunCode, 0) == 0 ? 0 : Marshal.GetLastPInvokeError();

    /// <summary>Unmaps the page.</summary>
    public void Dispose() => _mapping.Dispose();

    // SAFETY: the offsets are those of struct kvm_run, whose 2352 bytes lie inside the mapping; the layout tests pin
    // them.
    private ref T At<T>(int offset) where T : unmanaged => ref Unsafe.AsRef<T>((byte*)_mapping.Address + offset);
}
