namespace VirtioBlk.Store.Tests;

/// <summary>
/// A workload against the events it caused in host files: what the disk may hold when only the first so many of them
/// have happened.
/// </summary>
internal sealed class CrashTimeline(int diskBytes, int clusterBytes, int seed, int flushOneIn)
{
    private readonly CrashWorkload _workload = new(diskBytes, clusterBytes, seed, flushOneIn);
    private readonly CrashWorkload _expected = new(diskBytes, clusterBytes, seed, flushOneIn);
    private readonly List<(int Begin, int End, bool IsFlush)> _operations = [];
    private int _begun;
    private int _ended;

    /// <summary>Operations done.</summary>
    public int Operations => _operations.Count;

    /// <summary>Does the next operation.</summary>
    /// <param name="disk">The disk.</param>
    /// <param name="events">Counts the events so far.</param>
    public void Next(IBlockBackend disk, Func<int> events)
    {
        int begin = events();
        bool isFlush = _workload.Next(disk);
        _operations.Add((begin, events(), isFlush));
    }

    /// <summary>What may be there after so many events. To be asked in ascending order.</summary>
    public CrashWorkload After(int events)
    {
        // An operation may show from its first write on; a flush promises something when it has returned.
        for (; _ended < Operations && _operations[_ended].End <= events; _ended++)
        {
            if (_begun == _ended) Begin();
            if (_operations[_ended].IsFlush) _expected.Settle();
        }

        while (_begun < Operations && _operations[_begun].Begin < events) Begin();
        return _expected;
    }

    private void Begin()
    {
        _expected.Next(null);
        _begun++;
    }
}
