namespace VirtioBlk;

/// <summary>What a block device has done since it was made.</summary>
/// <param name="Requests">Requests answered, whatever the answer.</param>
/// <param name="ReadBytes">Bytes read.</param>
/// <param name="WrittenBytes">Bytes written.</param>
/// <param name="HostErrors">Requests that failed because the host did: the guest saw an I/O error.</param>
/// <param name="Refused">Requests refused because of what they asked.</param>
public readonly record struct BlkCounters(
    long Requests, long ReadBytes, long WrittenBytes, long HostErrors, long Refused)
{
    /// <summary>Both together.</summary>
    public static BlkCounters operator +(BlkCounters a, BlkCounters b) => new(
        a.Requests + b.Requests, a.ReadBytes + b.ReadBytes, a.WrittenBytes + b.WrittenBytes,
        a.HostErrors + b.HostErrors, a.Refused + b.Refused);

    /// <summary>With an answered request counted too.</summary>
    internal BlkCounters With(BlkRequest request)
    {
        bool ok = request.Status == BlkStatus.Ok;
        return new BlkCounters(
            Requests + 1,
            ReadBytes + (ok && request.Type == BlkRequestType.In ? request.DataLength : 0),
            WrittenBytes + (ok && request.Type == BlkRequestType.Out ? request.DataLength : 0),
            HostErrors + (request.HostFailed ? 1 : 0),
            Refused + (!ok && !request.HostFailed ? 1 : 0));
    }
}
