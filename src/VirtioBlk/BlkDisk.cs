using System.Numerics;
using Kvm.Interop;
using VirtioBlk.Store;
using VirtioBlk.Turns;

namespace VirtioBlk;

/// <summary>The disk behind a device: does what requests ask. Any number of threads at once.</summary>
/// <param name="backend">The disk, to begin with.</param>
/// <param name="serial">What GET_ID answers, padded to <see cref="BlkConfig.SerialBytes"/>.</param>
/// <param name="turns">Asked before the host's disks are used, or null.</param>
internal sealed unsafe class BlkDisk(IBlockBackend backend, byte[] serial, IDiskTurns? turns)
{
    private const long MaxRunBytes = 1 << 20; // a pause waits for a run that has begun
    private const long PieceBytes = 4 << 20; // and for this much of one request: the longest that Linux makes by itself

    private readonly bool _offeredReadOnly = backend.IsReadOnly;
    private volatile bool _writeThrough; // a vCPU may change it at any time
    private volatile Exception? _lastHostError;

    /// <summary>The disk. Changed while all queues are stopped and no flush is at work only.</summary>
    public IBlockBackend Backend { get; set; } = backend;

    /// <summary>Whether what changes the disk fails: as the device has told its driver, or because it must.</summary>
    public bool IsReadOnly => _offeredReadOnly || Backend.IsReadOnly;

    /// <summary>Whether a write is answered only once it is durable.</summary>
    public bool WriteThrough
    {
        get => _writeThrough;
        set => _writeThrough = value;
    }

    /// <summary>Why the host last failed a request, or null.</summary>
    public Exception? LastHostError => _lastHostError;

    /// <summary>
    /// Links the first requests of a batch into a run where each begins on the disk where the one before ends, so that
    /// one call moves them all.
    /// </summary>
    /// <returns>How many make up the run, at least one.</returns>
    public static int Join(ReadOnlySpan<BlkRequest> batch)
    {
        BlkRequest last = batch[0];
        if (!Moves(last)) return 1;
        int count = 1, vectors = last.Data.Length;
        long bytes = last.DataLength;
        for (; count < batch.Length; count++)
        {
            BlkRequest next = batch[count];
            vectors += next.Data.Length;
            bytes += next.DataLength;
            if (!Moves(next) || next.Type != last.Type || next.Offset != last.Offset + last.DataLength
                || vectors > BlkScratch.MaxVectors || bytes > MaxRunBytes)
                break;
            last.Follower = next;
            last = next;
        }

        return count;
    }

    /// <summary>Does a run where that takes no waiting.</summary>
    /// <returns>False: it has to be <see cref="Do"/>.</returns>
    public bool TryDoNow(BlkRequest run, BlkScratch scratch)
    {
        if (run.Status != BlkStatus.Ok) return true;
        switch (run.Type)
        {
            case BlkRequestType.In or BlkRequestType.Out when run.DataLength == 0:
                return true;
            case BlkRequestType.GetId:
                AnswerSerial(run.Data);
                return true;
            case BlkRequestType.In or BlkRequestType.Out when run.DataLength > PieceBytes:
                return false;
            case var _ when Backend.AnswersAtOnce:
                DoNow(run, scratch);
                return true;
            case BlkRequestType.In or BlkRequestType.Out:
                try
                {
                    ReadOnlySpan<IoVec> vectors = scratch.Gather(run);
                    return run.Type == BlkRequestType.In
                        ? Backend.TryReadCached(vectors, run.Offset)
                        : TryWriteCached(vectors, run.Offset);
                }
                catch (Exception)
                {
                    return false; // it will fail again where that is looked into, request by request
                }

            default:
                return false;
        }
    }

    /// <summary>Does a run, however long it takes. Leaves the outcome in each request's Status.</summary>
    /// <returns>
    /// False where the queue has been stopped in the middle of a long request: whoever goes on with the queue begins it anew.
    /// </returns>
    public bool Do(BlkRequest run, BlkScratch scratch)
    {
        long turn = turns?.Enter() ?? 0;
        try
        {
            if (run.DataLength > PieceBytes) return TryMoveInPieces(run, scratch);
            DoNow(run, scratch);
            return true;
        }
        finally
        {
            turns?.Leave(turn, Kind(run));
        }
    }

    /// <summary>Makes all writes that have been answered, and those in these runs, durable.</summary>
    /// <param name="runs">Runs that wait for it, linked by NextWaiting.</param>
    public void Flush(BlkRequest runs)
    {
        long turn = turns?.Enter() ?? 0;
        try
        {
            Backend.Flush();
        }
        catch (Exception e)
        {
            for (BlkRequest? run = runs; run is not null; run = run.NextWaiting)
                for (BlkRequest? request = run; request is not null; request = request.Follower) Fail(request, e);
        }
        finally
        {
            turns?.Leave(turn, Kind(runs));
        }
    }

    /// <summary>Whether a run should wait until <see cref="MakeRoom"/> has been called.</summary>
    public bool IsCrowdedFor(BlkRequest run) =>
        run.Type is BlkRequestType.Out or BlkRequestType.Discard or BlkRequestType.WriteZeroes && Backend.IsCrowded;

    /// <summary>A flush that no request has asked for.</summary>
    public void MakeRoom()
    {
        long turn = turns?.Enter() ?? 0;
        try
        {
            Backend.Flush();
        }
        catch (Exception)
        {
            // The guest's next flush will fail as well, or the change itself, once there is no room at all.
        }
        finally
        {
            turns?.Leave(turn, (int)BlkRequestType.Flush << 6);
        }
    }

    /// <summary>Whether a run is to be flushed after it was done (or is nothing but a flush).</summary>
    public bool NeedsFlush(BlkRequest run) => !Backend.AnswersAtOnce && run.Type switch
    {
        BlkRequestType.Flush => true,
        BlkRequestType.Out => WriteThrough && run.DataLength != 0,
        BlkRequestType.WriteZeroes => WriteThrough,
        _ => false,
    } && AnyOk(run);

    /// <summary>Runs of one kind take about the same time: they do the same and are of about the same length.</summary>
    private static int Kind(BlkRequest run)
    {
        long bytes = 1;
        for (BlkRequest? request = run; request is not null; request = request.Follower) bytes += request.DataLength;
        return ((int)run.Type << 6) | BitOperations.Log2((ulong)bytes);
    }

    /// <summary>What goes into the host's page cache today is on the disk's queue soon.</summary>
    private bool TryWriteCached(ReadOnlySpan<IoVec> vectors, long offset)
    {
        if (turns?.TryEnter() == false) return false;
        try
        {
            return Backend.TryWriteCached(vectors, offset);
        }
        finally
        {
            turns?.Leave();
        }
    }

    private void DoNow(BlkRequest run, BlkScratch scratch)
    {
        if (run.Follower is not null && TryMoveAll(run, scratch)) return;
        for (BlkRequest? request = run; request is not null; request = request.Follower)
        {
            try
            {
                Execute(request);
            }
            catch (Exception e)
            {
                Fail(request, e);
            }
        }
    }

    private static bool Moves(BlkRequest request) =>
        request.Status == BlkStatus.Ok && request.DataLength != 0 && request.Type is BlkRequestType.In or BlkRequestType.Out;

    private static bool AnyOk(BlkRequest run)
    {
        for (BlkRequest? request = run; request is not null; request = request.Follower)
            if (request.Status == BlkStatus.Ok) return true;
        return false;
    }

    /// <summary>Has the host move a whole run at once.</summary>
    /// <returns>False where that failed: one of its requests is to blame, the others are not.</returns>
    private bool TryMoveAll(BlkRequest run, BlkScratch scratch)
    {
        try
        {
            Move(run.Type, scratch.Gather(run), run.Offset);
            return true;
        }
        catch (Exception)
        {
            return false;
        }
    }

    /// <summary>Moves a request that is too long to be waited for, as far as its queue is not stopped.</summary>
    /// <returns>Whether it is over.</returns>
    private bool TryMoveInPieces(BlkRequest request, BlkScratch scratch)
    {
        try
        {
            IoVecCursor cursor = new(request.Data, scratch.Vectors);
            for (long done = 0; done < request.DataLength; done += PieceBytes)
            {
                if (request.Queue.IsStopping) return false;
                Move(request.Type, cursor.Take(Math.Min(PieceBytes, request.DataLength - done)), request.Offset + done);
            }
        }
        catch (Exception e)
        {
            Fail(request, e);
        }

        return true;
    }

    /// <summary>
    /// Whatever the backend throws is the host's failure: the guest gets an I/O error, the machine lives.
    /// </summary>
    private void Fail(BlkRequest request, Exception cause)
    {
        if (request.Status != BlkStatus.Ok) return;
        request.Status = BlkStatus.IoError;
        request.HostFailed = true;
        _lastHostError = cause;
    }

    private void Move(BlkRequestType type, ReadOnlySpan<IoVec> vectors, long offset)
    {
        if (type == BlkRequestType.In) Backend.Read(vectors, offset);
        else Backend.Write(vectors, offset);
    }

    private void Execute(BlkRequest request)
    {
        switch (request.Type)
        {
            case BlkRequestType.In or BlkRequestType.Out:
                Move(request.Type, request.Data, request.Offset);
                break;
            case BlkRequestType.Discard:
                foreach (BlkRange range in request.Ranges)
                    if (range.Length != 0) Backend.Discard(range.Offset, range.Length);
                break;
            case BlkRequestType.WriteZeroes:
                foreach (BlkRange range in request.Ranges)
                    if (range.Length != 0) Backend.WriteZeroes(range.Offset, range.Length, range.Unmap);
                break;
        }
    }

    private void AnswerSerial(ReadOnlySpan<IoVec> vectors)
    {
        ReadOnlySpan<byte> rest = serial;
        foreach (IoVec vector in vectors)
        {
            // SAFETY: resolved by the reader; together the vectors are as long as the serial.
            rest[..(int)vector.Length].CopyTo(new Span<byte>((void*)vector.Base, (int)vector.Length));
            rest = rest[(int)vector.Length..];
        }
    }
}
