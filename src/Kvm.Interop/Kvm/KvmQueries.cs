namespace Kvm.Interop;

/// <summary>The questions to /dev/kvm whose answer is an array of a length that only the kernel knows.</summary>
public static class KvmQueries
{
    private const int FirstCapacity = 128;

    /// <summary>KVM_GET_SUPPORTED_CPUID: the CPUID leaves that KVM can give to a guest on this host.</summary>
    /// <param name="kvm">/dev/kvm.</param>
    /// <param name="capacity">How many entries to try with first; doubled for as long as the kernel answers
    /// E2BIG.</param>
    /// <exception cref="KvmException">KVM refused.</exception>
    public static KvmCpuidEntry2[] SupportedCpuid(KvmFd kvm, int capacity = FirstCapacity)
    {
        for (; ; capacity *= 2)
        {
            using FamBuffer<KvmCpuid2, KvmCpuidEntry2> buffer = new(capacity);
            buffer.Header.Count = (uint)capacity;
            if (TryFill(kvm, KvmIoctls.KVM_GET_SUPPORTED_CPUID, buffer))
                return [.. buffer.Entries[..(int)buffer.Header.Count]];
        }
    }

    /// <summary>KVM_GET_MSR_INDEX_LIST: the MSRs that hold guest state on this host.</summary>
    /// <inheritdoc cref="SupportedCpuid"/>
    public static uint[] MsrIndexList(KvmFd kvm, int capacity = FirstCapacity)
    {
        for (; ; capacity *= 2)
        {
            using FamBuffer<KvmMsrList, uint> buffer = new(capacity);
            buffer.Header.Count = (uint)capacity;
            if (TryFill(kvm, KvmIoctls.KVM_GET_MSR_INDEX_LIST, buffer))
                return [.. buffer.Entries[..(int)buffer.Header.Count]];
        }
    }

    private static bool TryFill<THeader, TEntry>(
        KvmFd kvm, IoctlExchange<KvmFd, THeader> ioctl, FamBuffer<THeader, TEntry> buffer)
        where THeader : unmanaged where TEntry : unmanaged
    {
        try
        {
            kvm.Exchange(ioctl, buffer);
            return true;
        }
        catch (KvmException e) when (e.Errno == Libc.E2BIG)
        {
            return false;
        }
    }
}
