namespace VirtioBlk;

/// <summary>What a block device has done since it was made.</summary>
/// <param name="Requests">Requests answered, whatever the answer.</param>
/// <param name="ReadBytes">Bytes read.</param>
/// <param name="WrittenBytes">Bytes written.</param>
/// <param name="HostErrors">Requests that failed because the host did: the guest saw an I/O error.</param>
/// <param name="Refused">Requests refused because of what they asked.</param>
public readonly record struct BlkCounters(
    long Requests, long ReadBytes, long WrittenBytes, long HostErrors, long Refused);
