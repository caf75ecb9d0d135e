namespace VirtioBlk.Turns;

/// <summary>Who may use the host's disks now. A device asks before what reaches them, and says when that is over. Any thread.</summary>
public interface IDiskTurns
{
    /// <summary>Takes a turn where that takes no waiting.</summary>
    /// <returns>Whether it did; <see cref="Leave()"/> ends it.</returns>
    bool TryEnter();

    /// <summary>Takes a turn, waiting for it; either Leave ends it.</summary>
    /// <returns>What to tell <see cref="Leave(long, int)"/>.</returns>
    long Enter();

    /// <summary>Ends a turn of which there is nothing to tell.</summary>
    void Leave();

    /// <summary>Ends a turn.</summary>
    /// <param name="entered">What <see cref="Enter"/> has said.</param>
    /// <param name="kind">What it was used for: requests of the same kind should take about the same time.</param>
    void Leave(long entered, int kind);
}
