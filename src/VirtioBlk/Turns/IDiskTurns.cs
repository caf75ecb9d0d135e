namespace VirtioBlk.Turns;

/// <summary>Who may use the host's disks now. A device asks before what reaches them, and says when that is over. Any thread.</summary>
public interface IDiskTurns
{
    /// <summary>Takes a turn where that takes no waiting.</summary>
    /// <returns>Whether it did; <see cref="Leave"/> ends it.</returns>
    bool TryEnter();

    /// <summary>Takes a turn, waiting for it; <see cref="Leave"/> ends it.</summary>
    void Enter();

    /// <summary>Ends a turn.</summary>
    void Leave();
}
